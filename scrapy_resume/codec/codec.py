"""The codec of one spider: the text of what it yields, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request

from scrapy_resume.codec.callables import Callables
from scrapy_resume.codec.distinction import differing_fields, state_text, telling_texts
from scrapy_resume.codec.json_text import TAG_MARK, dumps, loads, plain_text, refuse_long
from scrapy_resume.codec.name_history import NameHistory, OtherNames
from scrapy_resume.codec.registered_codecs import registered_types
from scrapy_resume.codec.requests import check_layout, request_from_text, request_text
from scrapy_resume.codec.rules import CrawlRules
from scrapy_resume.codec.shared_values import SharedValues, refs_of, refs_tree
from scrapy_resume.codec.trust import Trust, TrustAll
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.codec.values import ItemWriter, LenientReader, ValueReader, ValueWriter
from scrapy_resume.errors import (
    ItemNotRecordableError,
    NotRecordableError,
    ResumeError,
    StoreDamagedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from scrapy import Spider

    from scrapy_resume.codec.shared_values import SharedRef
    from scrapy_resume.codec.writer_reader import Reader, Writer


class Codec:
    """Serializes what one spider yields, and restores it."""

    CODEC_VERSION: ClassVar[int] = 1
    """The version of the format. The store keeps it with the job; the records do not have it."""

    def __init__(
        self,
        spider: Spider | None = None,
        codecs: Mapping[str, str] | None = None,
        packages: Collection[str] = (),
        renamed: Mapping[str, str] | None = None,
        rules: Callable[[], Sequence[Any]] | None = None,
    ) -> None:
        """``spider``: the one whose methods callbacks are; ``None`` for readers, who cannot restore
        callbacks. ``codecs``: the setting ``RESUME_CODECS``. ``packages``: prefixes of the modules
        that are trusted beside the spider's (see ``trust``). ``renamed``: the setting
        ``RESUME_RENAMED``. ``rules``: returns the rules of a ``CrawlSpider``.

        Raises ConfigurationError for an entry of a setting that cannot be used.
        """
        check_layout()
        registered = registered_types(codecs or {})
        # ``__main__`` is another module in other processes. A request that refers to it is refused
        # and can run from memory. An item cannot, and the same command will find its class again.
        other = ("__main__",)
        trust = Trust.in_spider(spider, packages)
        callables = Callables(spider, trust)
        if renamed:
            callables.rename(renamed)
        self.name_history = NameHistory(callables.present_names())
        """Recalls, when a job is resumed, the names that its earlier runs had."""
        self._other_names = OtherNames(trust.renames, self.name_history)
        self._requests = ValueWriter(Callables(spider, trust, other), registered, trust, other)
        self._values = ValueWriter(callables, registered, trust)
        # What a crawl gives must not depend on who may name it.
        self._items = ItemWriter(Callables(spider, TrustAll()), registered, TrustAll())
        self._registered = registered
        self._reader = ValueReader(callables, registered, trust)
        self._lenient_reader = LenientReader(callables, registered, trust)
        if rules is not None:
            known = CrawlRules(callables, rules)
            for part in (self._requests, self._values, self._items):
                part.rules = known
            self._reader.rules = known
        self._proven: set[type] = {Request}
        self.shared = SharedValues()
        """What requests carry that others may carry too."""

    def encode_request(self, request: Request, shared: Sequence[SharedRef] = ()) -> str:
        """The payload, from which ``decode_request`` makes an equal request. ``shared``: what it
        says of values that other requests share; one with a codec of its own says nothing.

        Raises NotRecordableError, which names the field, the type and the reason.
        """
        kind = type(request)
        try:
            if kind in self._registered:
                return refuse_long(dumps(self._requests.write(request)))
            text = refuse_long(request_text(self._requests, request, refs_tree(shared)))
        except UnserializableError as error:
            raise NotRecordableError(error.describe()) from error
        except RecursionError as error:
            raise NotRecordableError("the request is nested too deeply") from error
        if kind not in self._proven:
            self._prove_class(request, text)
        return text

    def decode_request(self, url: str, payload: str, priority: int = 0) -> Request:
        """The request. Raises CallbackMissingError for a callback, class or function that no longer
        exists, and StoreDamagedError for text that no codec wrote.
        """
        return request_from_text(self._reader, url, payload, priority)

    def state_text(self, value: Any) -> bytes:
        """Bytes that differ if a value has changed. Of a part that cannot be serialized only the
        type counts."""
        return state_text(self._values, value)

    @staticmethod
    def shared_refs(payload: str) -> list[SharedRef]:
        """What a payload says of values that other requests share. Raises StoreDamagedError."""
        return refs_of(payload)

    def telling_texts(self, request: Request) -> list[bytes]:
        """What tells the request apart from others with its fingerprint, as canonical bytes; empty:
        nothing does. Of what cannot be serialized only the type counts. After the first text those
        that it may be known by since code was renamed."""
        return telling_texts(self._requests, request, self._other_names)

    @staticmethod
    def differing_fields(payload: str, other: str) -> list[str]:
        """The names of the fields and keys that tell two recorded requests with equal fingerprints
        apart. Raises StoreDamagedError."""
        return differing_fields(payload, other)

    def encode_value(self, value: Any) -> str:
        """The text of any value. Raises NotRecordableError, which names the path in the value, the
        type and the reason."""
        try:
            return _text(self._values, value)
        except UnserializableError as error:
            raise NotRecordableError(error.describe("value")) from error

    def decode_value(self, text: str) -> Any:
        """The value. Raises the errors of ``decode_request``."""
        return _read(self._reader, text)

    def encode_item(self, item: Any) -> str:
        """The payload. Raises ItemNotRecordableError, which names type, field and reason."""
        try:
            return _text(self._items, item)
        except UnserializableError as error:
            raise ItemNotRecordableError(
                f"an item of type {type_name(type(item))} cannot be serialized: "
                f"{error.describe('item')}"
            ) from error

    def decode_item(self, payload: str, *, lenient: bool = False) -> Any:
        """The item, equal and of its type. Raises CallbackMissingError for a class that no longer
        exists, and StoreDamagedError.

        ``lenient``: for readers without the user's code. A dict of its fields stands in for an
        instance of a missing class, its value for a member of a missing enum, its import path for
        a missing function.
        """
        return _read(self._lenient_reader if lenient else self._reader, payload)

    def _prove_class(self, request: Request, text: str) -> None:
        """Check, once for each subclass of Request, that a request is restored equal: a subclass
        may store its attributes in a way of its own. Raises NotRecordableError if not.
        """
        name = type_name(type(request))
        try:
            twin = self.decode_request(request.url, text, request.priority)
            refs = refs_tree(refs_of(text))
            same = twin.url == request.url and request_text(self._requests, twin, refs) == text
        except (ResumeError, UnserializableError, AttributeError, TypeError) as error:
            raise NotRecordableError(
                f"the request is a {name}, which cannot be restored: {error!r}; register a codec "
                "for it in RESUME_CODECS"
            ) from error
        if not same:
            raise NotRecordableError(
                f"the request is a {name}, which would not come back the same; register a codec "
                "for it in RESUME_CODECS"
            )
        self._proven.add(type(request))


def _text(writer: Writer, value: Any) -> str:
    try:
        return refuse_long(plain_text(value) or dumps(writer.write(value)))
    except RecursionError as error:
        raise UnserializableError("is nested too deeply") from error


def _read(reader: Reader, text: str) -> Any:
    """The value. In text without a tag the tree is the value."""
    tree = loads(text)
    if TAG_MARK not in text:
        return tree
    try:
        return reader.read(tree)
    except RecursionError as error:
        raise StoreDamagedError(
            "a record in the store is nested deeper than any that is written; restore the job from "
            "a backup, or begin a new one"
        ) from error
