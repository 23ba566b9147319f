"""Requests and items ⇄ JSON text that a person can read in a database shell. No pickle.

What JSON holds as it is stands there as it is: text, numbers, true, false, null, lists, and objects
with text keys. Everything else is an object whose first key, the tag, begins with ``$``:

=====================================  ==========================================================
``$dict``                              with other keys than text (pairs), or with ``$`` keys
``$tuple`` ``$deque`` ``$range``       in order
``$set`` ``$frozenset``                sorted, so that equal sets have equal texts
``$ordereddict`` ``$defaultdict``      entries, as of a dict
``$counter`` ``$namespace``            entries, as of a dict
``$headers``                           Scrapy's ``Headers``
``$str``                               text with lone surrogates, in Python's escapes
``$int``                               of over 600 digits, in hexadecimal
``$float``                             ``nan``, ``inf``, ``-inf``
``$complex`` ``$fraction``             their two parts
``$decimal`` ``$uuid`` ``$path``       as Python prints them; also ``$pureposixpath``,
                                       ``$purewindowspath``, ``$ipv4address`` and its like
``$bytes`` ``$base64`` ``$bytearray``  as text if they are UTF-8, else in base 64
``$datetime`` ``$date`` ``$time``      ISO 8601; the ``zone`` apart where an offset does not say it
``$timedelta``                         days, seconds, microseconds
``$timezone`` ``$zoneinfo`` ``$zone``  an offset; a name; a zone of dateutil, dateparser or pytz
``$pattern``                           a compiled regular expression, with its flags
``$item``                              an instance of a ``scrapy.Item``, dataclass, attrs class or
                                       pydantic model: ``fields`` and any further ``attributes``
``$namedtuple`` ``$enum``              by the path of the class
``$class``                             a class, by its path
``$callable``                          a function or a method of the spider (see ``callables``)
``$request``                           a request within another; the value is its URL
``$codec``                             a value of a type registered in ``RESUME_CODECS``
=====================================  ==========================================================

    {"title": "Emma", "price": {"$decimal": "9.50"}}
    {"$item": "shop.items:Book", "fields": {"title": "Emma", "tags": {"$tuple": ["novel"]}}}

A request's payload has the fields that differ from a fresh request's, without the URL and the
priority, which have columns: ``callback``, ``errback``, ``headers`` (Latin-1 text, a list where
there is not just one value), ``body`` (text, or ``$base64``), ``method``, ``cookies``, ``meta``,
``cb_kwargs``, ``encoding``, ``dont_filter``, ``flags``; for subclasses also ``class`` and their own
``attributes``; ``headers_encoding`` where it is not the request's.

    {"callback":"parse_book","meta":{"depth":2}}

Values come back equal, and of the same type. Sharing does not come back: a list that is there twice
becomes two lists. Instances are restored with the state they had, without running ``__init__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request

from scrapy_resume.codec.callables import Callables
from scrapy_resume.codec.plain import TAG_MARK, dumps, loads, plain_text
from scrapy_resume.codec.refusal import Refusal, type_name
from scrapy_resume.codec.registered import registered_types
from scrapy_resume.codec.requests import check_layout, request_from_text, request_text
from scrapy_resume.codec.values import ItemWriter, LenientReader, Reader, Writer
from scrapy_resume.errors import ItemNotRecordableError, NotRecordableError, ResumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Spider

__all__ = ["Codec"]


class Codec:
    """Text for what one spider yields, and back."""

    CODEC_VERSION: ClassVar[int] = 1
    """The version of the format; the store keeps it with the job, no record carries it."""

    def __init__(
        self, spider: Spider | None = None, codecs: Mapping[str, str] | None = None
    ) -> None:
        """``spider``: whose methods callbacks are; None for readers, who cannot restore them.
        ``codecs``: ``RESUME_CODECS``, for values of exactly these types.

        Raises ConfigurationError for a path in ``codecs`` that is of no use.
        """
        check_layout()
        registered = registered_types(codecs or {})
        # ``__main__`` is another module in other processes. A request that names it can run from
        # memory; an item has nowhere else to go, and the same command will find its class again.
        other = ("__main__",)
        self._requests = Writer(Callables(spider, other), registered, other)
        self._values = Writer(Callables(spider), registered)
        self._items = ItemWriter(Callables(spider), registered)
        self._registered = registered
        self._reader = Reader(Callables(spider), registered)
        self._lenient_reader = LenientReader(Callables(spider), registered)
        self._proven: set[type] = {Request}

    def encode_request(self, request: Request) -> str:
        """The payload. Raises NotRecordableError, which names the field, the type and the reason,
        unless decoding it would give an equal request right now.
        """
        kind = type(request)
        try:
            if kind in self._registered:
                return dumps(self._requests.write(request))
            text = request_text(self._requests, request)
        except Refusal as refusal:
            raise NotRecordableError(refusal.describe()) from refusal
        except RecursionError as error:
            raise NotRecordableError("the request is nested too deeply") from error
        if kind not in self._proven:
            self._prove_class(request, text)
        return text

    def decode_request(self, url: str, payload: str, priority: int = 0) -> Request:
        """Raises CallbackMissingError for a callback, class or function that no longer exists, and
        StoreDamagedError for text that this codec did not write.
        """
        return request_from_text(self._reader, url, payload, priority)

    def encode_value(self, value: Any) -> str:
        """Raises NotRecordableError, which names the place in it, the type and the reason."""
        try:
            return _text(self._values, value)
        except Refusal as refusal:
            raise NotRecordableError(refusal.describe("value")) from refusal

    def decode_value(self, text: str) -> Any:
        """Raises CallbackMissingError and StoreDamagedError, as ``decode_request`` does."""
        return _read(self._reader, text)

    def encode_item(self, item: Any) -> str:
        """Raises ItemNotRecordableError, which names the item's type, the field and the reason."""
        try:
            return _text(self._items, item)
        except Refusal as refusal:
            raise ItemNotRecordableError(
                f"an item of type {type_name(type(item))} cannot be written down: "
                f"{refusal.describe('item')}"
            ) from refusal

    def decode_item(self, payload: str, *, lenient: bool = False) -> Any:
        """The item, equal and of its type. Raises CallbackMissingError for a class that no longer
        exists, and StoreDamagedError.

        ``lenient``: for readers without the user's code. Where a class is missing its fields stand
        in as a dict, where an enum is missing its value, where a function is missing its path.
        """
        return _read(self._lenient_reader if lenient else self._reader, payload)

    def _prove_class(self, request: Request, text: str) -> None:
        """Once for each class, that what comes back is the same: a class may store its attributes
        in its own way.
        """
        name = type_name(type(request))
        try:
            twin = self.decode_request(request.url, text, request.priority)
            same = twin.url == request.url and request_text(self._requests, twin) == text
        except (ResumeError, Refusal, AttributeError, TypeError) as error:
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
        return plain_text(value) or dumps(writer.write(value))
    except RecursionError as error:
        raise Refusal("is nested too deeply") from error


def _read(reader: Reader, text: str) -> Any:
    """Text without a tag needs no second look."""
    tree = loads(text)
    return reader.read(tree) if TAG_MARK in text else tree
