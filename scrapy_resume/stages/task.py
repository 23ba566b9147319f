"""A task: an input and its key. It stands where a crawl has a request."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from itemadapter import ItemAdapter

from scrapy_resume.codec.json_text import loads
from scrapy_resume.errors import ConfigurationError, NotRecordableError, StoreDamagedError
from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.model import IDENTITY_BYTES
from scrapy_resume.store.transaction.steering import RETRIES
from scrapy_resume.store.transaction.storable_text import storable

if TYPE_CHECKING:
    from scrapy_resume.codec import Codec
    from scrapy_resume.frontier.row import Row

Key = Any
"""A key as the user has it: a text, a number, or what the codec can serialize."""

_NO_META: Final[Mapping[str, Any]] = {}

_INPUT: Final = ',"input":'
"""Occurs in a payload only before the input: within a JSON text the quotes are escaped."""


class Task:
    """One input of a stage in this process. Tasks are told apart by object identity."""

    __slots__ = ("group", "input", "key", "meta", "row", "text")

    dont_filter: Final = True
    """Duplicates are found by ``TaskReader``, and not reported."""
    priority: Final = 0

    def __init__(self, key: Key, text: str, task_input: Any, group: str) -> None:
        self.key = key
        self.text = text
        """The key as it is shown and stored."""
        self.input = task_input
        self.group = group
        self.meta = _NO_META
        self.row: Row | None = None
        """``None``: the task was not dispatched yet."""

    @property
    def url(self) -> str:
        """What stands where a request has its URL: the key."""
        return self.text

    @property
    def failures(self) -> int:
        """Number of attempts that have failed, since the last ``retry`` by command."""
        return retries_of(self)  # type: ignore[arg-type]

    def again(self, failures: int) -> Task:
        """The task as it is tried again after so many failed attempts."""
        task = Task(self.key, self.text, self.input, self.group)
        if failures:
            task.meta = {RETRIES: failures}
        return task

    def __repr__(self) -> str:
        return f"<{self.group}: {self.text:.200}>"


def key_text(key: Key, codec: Codec) -> tuple[str, bytes]:
    """(the key as text that is shown and stored, its identity). Equal texts and numbers are one
    key, ``1`` is not ``"1"``.

    Raises ``ConfigurationError`` for a key of ``None`` or NaN, and ``NotRecordableError``.
    """
    if type(key) is str:
        return storable(key), _identity(key.encode("utf-8", "surrogatepass"), _TEXT)
    if key is None or (isinstance(key, float) and math.isnan(key)):
        raise ConfigurationError(
            f"a task's key is {key!r}: every task needs a key that tells it from the others. Give"
            " another field or function as key"
        )
    if isinstance(key, str):
        return key_text(str(key), codec)
    key = _canonical(key)
    text = str(key) if type(key) is int else codec.encode_value(key)
    return text, _identity(text.encode("utf-8", "surrogatepass"), _VALUE)


def _canonical(key: Key) -> Key:
    """A key as all that are equal to it are: whole numbers are integers, and the fields of a dict
    have one order."""
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if type(key) is dict:
        fields = sorted(key.items(), key=lambda field: (type(field[0]).__name__, repr(field[0])))
        return {name: _canonical(value) for name, value in fields}
    if type(key) in (list, tuple):
        return type(key)(map(_canonical, key))
    return key


_TEXT: Final = b"resume task text"
_VALUE: Final = b"resume task val"


def _identity(text: bytes, kind: bytes) -> bytes:
    """The digest of a key. ``kind`` sets those of texts and of other values apart."""
    return blake2b(text, digest_size=IDENTITY_BYTES, person=kind).digest()


KeyFunction = Callable[[Any], Key]


def key_function(key: str | KeyFunction | None) -> KeyFunction:
    """The function that gives an input's key. Raises ``ConfigurationError``."""
    if key is None:
        return _own_key
    if callable(key):
        return key
    if not isinstance(key, str):
        raise ConfigurationError(
            f"key is {key!r}; it must be the name of a field, a function of the input, or None"
        )
    field = key

    def key_of(task_input: Any) -> Key:
        try:
            if isinstance(task_input, Mapping):
                return task_input[field]
            return ItemAdapter(task_input)[field]
        except (KeyError, TypeError):
            raise ConfigurationError(
                f"the input {shown(task_input)} has no field {field!r}, which is to be its key"
            ) from None

    return key_of


def _own_key(task_input: Any) -> Key:
    if isinstance(task_input, (str, int, float)) and not isinstance(task_input, bool):
        return task_input
    raise ConfigurationError(
        f"the input {shown(task_input)} is a {type(task_input).__name__}, which is no key by itself"
        ": give key, the name of a field or a function of the input"
    )


def shown(value: object) -> str:
    """A value in a message, not too long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


class TaskCodec:
    """Payloads of tasks ⇄ keys and inputs.

    A payload has the group under ``callback``, where commands look for it; ``meta`` with the number
    of failed attempts, where a retry by command resets it; the key and the input if these are not
    the text that is stored as URL.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._heads: dict[str, str] = {}

    def encode(self, task: Task) -> str:
        """The payload. Raises ``NotRecordableError``, which names the place in the input."""
        head = self._heads.get(task.group)
        if head is None:
            head = self._heads[task.group] = f'{{"callback":{json.dumps(task.group)}'
        meta = f',"meta":{json.dumps(dict(task.meta))}' if task.meta else ""
        key, given = task.key, task.input
        if key is given and type(key) is str and task.text == key:
            return f"{head}{meta}}}"
        if key is given and type(key) is int:
            return f"{head}{meta}{_INPUT}{key}}}"
        text = self._codec.encode_value(given)
        if key is given:
            return f"{head}{meta}{_INPUT}{text}}}"
        if type(key) is str and task.text == key:
            return f'{head}{meta},"key":null{_INPUT}{text}}}'
        return f'{head}{meta},"key":{json.dumps(self._codec.encode_value(key))}{_INPUT}{text}}}'

    def decode(self, text: str, payload: str) -> Task:
        """The task of a stored row. Raises ``CallbackMissingError`` and ``StoreDamagedError``."""
        fields = loads(payload)
        if not isinstance(fields, dict) or not isinstance(fields.get("callback"), str):
            raise StoreDamagedError(f"the record of {text:.200} is no task's")
        group = fields["callback"]
        if "input" not in fields:
            task = Task(text, text, text, group)
        else:
            given = self._codec.decode_value(payload[payload.index(_INPUT) + len(_INPUT) : -1])
            key = given
            if "key" in fields:
                key = text if fields["key"] is None else self._codec.decode_value(fields["key"])
            task = Task(key, text, given, group)
        if fields.get("meta"):
            task.meta = fields["meta"]
        return task


def check_input(codec: TaskCodec, task: Task) -> str:
    """The payload of a task that was read. Raises ``NotRecordableError``, which names the task."""
    try:
        return codec.encode(task)
    except NotRecordableError as error:
        raise NotRecordableError(
            f"the input of {task.text:.200} cannot be stored with its key: {error}. Give inputs of"
            " plain values (texts, numbers, lists, dicts), or items, or register a codec in"
            " RESUME_CODECS"
        ) from error
