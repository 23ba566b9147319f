"""Conversions from the values that people write in settings to one type each.

A setting may come from Python, from the command line (always text) or from a
spider, so every conversion accepts text as well. A value that cannot be converted
raises ``ValueError``; its message names the allowed values and completes a
sentence that begins with "it must be".
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from typing import Any, Final

from itemadapter import ItemAdapter
from scrapy.utils.misc import load_object

from scrapy_resume.model import SkipRule

logger = logging.getLogger("scrapy_resume")

URL_BEGINNINGS: Final = ("http://", "https://", "ftp://", "file://", "s3://", "data:")
UNIT: Final = "unit:"
"""What a glob of units begins with in RESUME_SKIP."""

ItemKey = Callable[[Any], "str | None"]
"""Returns the key of an item; ``None``: the item has no key and is never updated."""

_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def boolean(value: object) -> bool:
    """``True`` or ``False``, also written as 1, 0 or text."""
    try:
        return _BOOLEANS[str(value).strip().lower()]
    except KeyError:
        raise ValueError("True or False") from None


def number(least: float, most: float = math.inf) -> Callable[[object], float]:
    """A conversion to a finite number from ``least`` to ``most``, both included."""
    allowed = f"a number from {least:g} to {most:g}"
    if most == math.inf:
        allowed = f"a number of {least:g} or more"

    def convert(value: object) -> float:
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            converted = float(value)
        except ValueError:
            raise ValueError(allowed) from None
        if not least <= converted <= most or math.isinf(converted):
            raise ValueError(allowed)
        return converted

    return convert


def whole_number(least: int) -> Callable[[object], int]:
    """A conversion to a whole number of ``least`` or more."""
    allowed = f"a whole number of {least} or more"
    as_number = number(least)

    def convert(value: object) -> int:
        try:
            converted = as_number(value)
        except ValueError:
            raise ValueError(allowed) from None
        if not converted.is_integer():
            raise ValueError(allowed)
        return int(converted)

    return convert


def one_of(*choices: str) -> Callable[[object], str]:
    """A conversion to one of the choices."""

    def convert(value: object) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(repr(choice) for choice in choices))
        return str(value)

    return convert


def text(value: object) -> str:
    """Text with at least one character that is not a space."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("non-empty text")
    return value


def location(value: object) -> object:
    """Text or a path, to be parsed elsewhere: see ``settings.location``."""
    try:
        return value if isinstance(value, PathLike) else text(value)
    except ValueError:
        raise ValueError("a directory or a postgresql:// URL") from None


def switch_or_directory(value: object) -> bool | str:
    """``True``, ``False``, or a directory as text, to be checked elsewhere."""
    try:
        return boolean(value)
    except ValueError:
        pass
    try:
        return text(fspath(value) if isinstance(value, PathLike) else value)
    except ValueError:
        raise ValueError("True, False or a directory") from None


def http_codes(value: object) -> frozenset[int]:
    """HTTP status codes: a list of numbers, or text separated by commas."""
    parts = _parts(value)
    try:
        codes = frozenset(int(str(part)) for part in parts or ())
    except ValueError:
        parts = None
    if parts is None or any(not 100 <= code <= 599 for code in codes):
        raise ValueError("a list of HTTP status codes from 100 to 599")
    return codes


def file_paths(value: object) -> tuple[str, ...]:
    """Paths of files: one path, a list, or text separated by commas."""
    parts = _parts([value] if isinstance(value, PathLike) else value)
    if parts is None or not all(isinstance(part, (str, PathLike)) and str(part) for part in parts):
        raise ValueError("a path or a list of paths")
    return tuple(fspath(part) for part in parts)


def json_object(value: object) -> dict[str, object]:
    """A dict that JSON can represent, or text that is a JSON object."""
    allowed = "a dict with text keys and values that JSON can represent"
    plain = _mapping(value, allowed)
    if not all(isinstance(key, str) for key in plain):
        raise ValueError(allowed)
    try:
        copied: dict[str, object] = json.loads(json.dumps(dict(plain), allow_nan=False))
    except (TypeError, ValueError):
        raise ValueError(allowed) from None
    return copied


def skip_rules(value: object) -> tuple[SkipRule, ...]:
    """Globs of URLs, and ``unit:GLOB`` of units: a list, or text separated by commas."""
    allowed = "a list of globs of URLs, or unit:GLOB, such as ['*/private/*', 'unit:Paris*']"
    parts = _parts(value)
    if parts is None:
        raise ValueError(allowed)
    rules = []
    for part in parts:
        kind, glob = ("unit", part[len(UNIT) :]) if str(part).startswith(UNIT) else ("url", part)
        if not isinstance(part, str) or not glob.strip():
            raise ValueError(allowed)
        if kind == "url" and not _may_match_url(glob.strip()):
            raise ValueError(f"{allowed}; {glob.strip()!r} can match no URL")
        rules.append(SkipRule(**{kind: glob.strip()}))
    return tuple(dict.fromkeys(rules))


def _may_match_url(glob: str) -> bool:
    """Whether a URL may match a glob, which holds for all of it, from the scheme on."""
    before = re.split(r"[*?]", glob, maxsplit=1)[0].lower()
    if "://" in before or (before and before == glob.lower()):
        return "://" in before or before.startswith("data:")
    return any(beginning.startswith(before) for beginning in URL_BEGINNINGS)


def codec_paths(value: object) -> dict[str, Any]:
    """A dict of import path of a type → import path of its codec, or text that is a JSON object."""
    return dict(_mapping(value, "a dict of type path → codec path"))


def component_attributes(value: object) -> dict[str, tuple[str, ...]]:
    """A dict of class, or import path of one → names of attributes, or text that is a JSON
    object."""
    allowed = (
        "a dict of the class of a component → attributes, such as "
        '{"shop.pipelines.DuplicatesPipeline": ["ids_seen"]}'
    )
    converted = {}
    for kind, names in _mapping(value, allowed).items():
        path = f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else kind
        attributes = _parts(names)
        if not isinstance(path, str) or "." not in path or not attributes:
            raise ValueError(allowed)
        if not all(isinstance(name, str) and name.isidentifier() for name in attributes):
            raise ValueError(allowed)
        converted[path] = tuple(attributes)
    return converted


def step_orders(value: object) -> dict[Any, float | None]:
    """A dict of import path, function or class → order, or ``None`` to switch it off, or text that
    is a JSON object."""
    allowed = (
        'a dict of steps → order, such as {"shop.steps.photos": 100}; None in place of the order '
        "switches a step off"
    )
    converted: dict[Any, float | None] = {}
    for target, order in _mapping(value, allowed).items():
        is_path = isinstance(target, str) and "." in target.strip(".")
        if not is_path and (isinstance(target, str) or not _may_be_step(target)):
            raise ValueError(f"{allowed}; {target!r} is no step")
        if order is not None:
            try:
                order = number(-math.inf)(order)
            except ValueError:
                raise ValueError(f"{allowed}; the order of {target!r} is {order!r}") from None
        converted[target] = order
    return converted


def _may_be_step(target: object) -> bool:
    return callable(target) or callable(getattr(target, "process_item", None))


def module_prefixes(value: object) -> tuple[str, ...]:
    """Names of modules or packages: a list, or text separated by commas."""
    parts = _parts(value)
    if parts is None or not all(
        isinstance(part, str) and all(name.isidentifier() for name in part.split("."))
        for part in parts
    ):
        raise ValueError("a list of names of modules or packages, such as ['shop.parsers']")
    return tuple(parts)


def renamed_names(value: object) -> dict[str, str]:
    """A dict of old name → new name, or text that is a JSON object. A colon after the module counts
    as a dot. Chains and cycles are refused: which of the names the store has would not be known.
    """
    allowed = "a dict of old name → new name, such as {'parse_book': 'parse_product'}"
    plain = _mapping(value, allowed)
    if not all(
        isinstance(name, str) and all(part.isidentifier() for part in _dotted(name).split("."))
        for pair in plain.items()
        for name in pair
    ):
        raise ValueError(allowed)
    names = {_dotted(old): _dotted(new) for old, new in plain.items()}
    for old, new in names.items():
        if new in names:
            raise ValueError(
                f"without chains and cycles: {old!r} is {new!r}, and {new!r} is {names[new]!r} in "
                "it; give each old name the name that its code has now"
            )
    return names


def _dotted(name: str) -> str:
    return name.replace(":", ".", 1)


def item_key(value: object) -> ItemKey:
    """A function that returns an item's key, from a field, a list of fields or a function.

    Text with a dot is the import path of a function; text that begins with ``[`` is a JSON list.
    """
    allowed = "a field, a list of fields, or the import path of a function that takes the item"
    if callable(value):
        return _key_by_function(value)
    if isinstance(value, str) and "." in value and not value.startswith("["):
        try:
            function = load_object(value)
        except (ImportError, NameError, ValueError) as error:
            raise ValueError(f"{allowed}; this path cannot be loaded ({error})") from error
        if not callable(function):
            raise ValueError(f"{allowed}; what this path names cannot be called")
        return _key_by_function(function)
    fields = _parts(value)
    if not fields or not all(isinstance(name, str) and name for name in fields):
        raise ValueError(allowed)
    return KeyByFields(tuple(fields))


class KeyByFields:
    """An item's key: the fields' values as one text; ``None`` if all are missing or empty.

    At the first item of each type it warns of fields that the item lacks, because a typo would go
    unseen.
    """

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self._types_seen: set[type] = set()

    def __call__(self, item: Any) -> str | None:
        """The key of an item."""
        adapter = ItemAdapter(item)
        if type(item) not in self._types_seen:
            self._types_seen.add(type(item))
            self._warn_of_missing(adapter)
        values = [adapter.get(name) for name in self.fields]
        if all(value is None or value == "" for value in values):
            return None
        return _as_key(values[0] if len(values) == 1 else values)

    def _warn_of_missing(self, adapter: ItemAdapter) -> None:
        known = list(dict.fromkeys([*adapter.field_names(), *adapter]))
        missing = [name for name in self.fields if name not in known]
        if missing:
            logger.warning(
                "RESUME_ITEM_KEY names %s, and the first %s has no such field (it has %s). Items "
                "without any field of RESUME_ITEM_KEY have no key: no later item updates them.",
                ", ".join(map(repr, missing)),
                type(adapter.item).__name__,
                ", ".join(map(repr, known)) or "none",
            )


def _key_by_function(function: Callable[[Any], object]) -> ItemKey:
    def key(item: Any) -> str | None:
        value = function(item)
        return None if value is None or value == "" else _as_key(value)

    return key


def _as_key(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _mapping(value: object, allowed: str) -> Mapping[Any, Any]:
    """A mapping, or text that is a JSON object. Raises ``ValueError`` with the text ``allowed``."""
    try:
        plain = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(allowed) from None
    if not isinstance(plain, Mapping):
        raise ValueError(allowed)
    return plain


def _parts(value: object) -> list[Any] | None:
    """The elements of a list, or of text separated by commas; ``None`` if it is neither."""
    if isinstance(value, str):
        if value.startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        else:
            value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        return None
    return list(value)
