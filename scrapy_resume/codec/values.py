"""Which values can be serialized, and how: Python values ⇄ trees of JSON's own types.

A value is restored equal and with exactly its type; a value that cannot be is refused, never
approximated. Text, numbers, true, false, null, lists, and dicts with text keys are written as JSON
has them. Every other value is an object whose first key, the tag, begins with ``$``:

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
                                       pydantic model: ``fields`` and any further ``attributes``;
                                       ``declared`` if the class is only a base of the item's own
``$unnamed``                           fields of an item whose class has no name, and those that
                                       its class ``declared``
``$namedtuple`` ``$enum``              by the path of the class
``$class``                             a class, by its path
``$callable``                          a function or a method of the spider (see ``callables``)
``$request``                           a request within another; the value is its URL
``$known`` ``$condition`` ``$loader``  of packages that many use (see ``well_known``)
``$codec``                             a value of a type registered in ``RESUME_CODECS``
=====================================  ==========================================================

    {"title": "Emma", "price": {"$decimal": "9.50"}}
    {"$item": "shop.items:Book", "fields": {"title": "Emma", "tags": {"$tuple": ["novel"]}}}

Object identity is not kept: a list that occurs twice becomes two lists. Instances are restored
with the state that they had, without running ``__init__``.
"""

from __future__ import annotations

import builtins
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakKeyDictionary

from itemadapter import ItemAdapter
from lxml.etree import _ElementUnicodeResult  # type: ignore[import-untyped]
from scrapy import Request

from scrapy_resume.codec.containers import containers, write_parts
from scrapy_resume.codec.enums_and_namedtuples import (
    enum_or_namedtuple_writer,
    read_enum,
    read_namedtuple,
)
from scrapy_resume.codec.exported_items import (
    ViewWriter,
    lenient_item_writer,
    read_unnamed,
    read_unnamed_as_dict,
)
from scrapy_resume.codec.items import is_item_type, item_writer, read_item
from scrapy_resume.codec.requests import read_request, untagged, write_request
from scrapy_resume.codec.scalars import (
    PLAIN_OF,
    read_base64,
    read_zone,
    scalars,
    zone_writer,
)
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.codec.well_known import (
    read_condition,
    read_known,
    read_loader,
    well_known_writer,
    write_condition,
)
from scrapy_resume.codec.writer_reader import Read, Reader, Write, Writer
from scrapy_resume.errors import (
    CallbackMissingError,
    ResumeError,
    UntrustedNameError,
    repr_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scrapy_resume.codec.callables import Callables
    from scrapy_resume.codec.registered_codecs import RegisteredCodec
    from scrapy_resume.codec.trust import Trust


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


_TAGGED_TYPES = (*scalars(), *containers())

PLAIN_CLASSES: Final = {
    f"{kind.__module__}:{kind.__qualname__}": kind
    for kind in (
        *(row.type for row in _TAGGED_TYPES),
        *(object, type(None), bool, list),
        *(kind for kind in vars(builtins).values() if _is_exception(kind)),
    )
}
"""Classes that can be named by everybody: the types of plain values, and Python's exceptions."""

_REMEDIES = {
    "scrapy.http.response.Response": "keep its url, its text or what was parsed of it instead",
    "parsel.selector.Selector": "keep what it extracts, .get(), instead",
    "parsel.selector.SelectorList": "keep what it extracts, .getall(), instead",
    "twisted.python.failure.Failure": "keep its message, .getErrorMessage(), instead",
    "scrapy.spiders.Spider": "callbacks have the spider as self",
}


def _write_native(writer: Writer, value: Any, depth: int) -> Any:
    return value


def _write_callable(writer: Writer, value: Any, depth: int) -> Any:
    condition = write_condition(writer, value, depth)
    return condition or {"$callable": writer.callables.name(value)}


def _write_smart_string(writer: Writer, value: Any, depth: int) -> Any:
    """lxml's strings keep their document alive. CrawlSpider puts one into each request's meta."""
    return writer.write(str.__str__(value), depth)


def _read_callable(reader: Reader, tree: dict[str, Any]) -> Any:
    return reader.callables.find(tree["$callable"])


def _write_class(writer: Writer, value: type, depth: int) -> Any:
    if is_item_type(value):
        return {"$class": writer.type_path(value)}
    path = writer.path_of(value)
    if path not in PLAIN_CLASSES:
        writer.trust.refuse_to_name(value, path)
    return {"$class": path}


def _read_class(reader: Reader, tree: dict[str, Any]) -> Any:
    """A plain class, an item type, or a class of a trusted module, imported if necessary."""
    path = tree["$class"]
    plain = PLAIN_CLASSES.get(path)
    if plain is not None:
        return plain
    try:
        found = reader.trust.resolve(path)
    except UntrustedNameError:
        with suppress(CallbackMissingError):
            return reader.trust.resolve_type(path, is_item_type, "an item type")
        raise
    if not isinstance(found, type):
        raise CallbackMissingError(f"a stored record names {path}, which is not a class now")
    return found


_WRITERS: dict[type, Write] = {
    type(None): _write_native,
    bool: _write_native,
    **{row.type: row.write for row in _TAGGED_TYPES},
    list: write_parts,
    _ElementUnicodeResult: _write_smart_string,
    **dict.fromkeys((FunctionType, BuiltinFunctionType, MethodType), _write_callable),
}

_READERS: dict[str, Read] = {
    **{row.tag: row.read for row in _TAGGED_TYPES},
    "$base64": read_base64,
    "$zone": read_zone,
    "$item": read_item,
    "$namedtuple": read_namedtuple,
    "$enum": read_enum,
    "$class": _read_class,
    "$callable": _read_callable,
    "$request": read_request,
    "$known": read_known,
    "$condition": read_condition,
    "$loader": read_loader,
}


class ValueWriter(Writer):
    """Writes values that a ValueReader can restore, and refuses all others."""

    def __init__(
        self,
        callables: Callables,
        registered: Mapping[type, RegisteredCodec],
        trust: Trust,
        unnameable: Collection[str] = (),
    ) -> None:
        """``unnameable``: modules whose classes are refused."""
        own = {kind: _registered_writer(codec) for kind, codec in registered.items()}
        super().__init__(callables, {**_WRITERS, **own}, trust, unnameable)

    def writer_for(self, kind: type) -> Write:
        """The function for a class that is not in the table. Raises UnserializableError."""
        if issubclass(kind, Request):
            return write_request
        if issubclass(kind, type):
            return _write_class
        write = (
            zone_writer(kind)
            or enum_or_namedtuple_writer(self, kind)
            or well_known_writer(self, kind)
            or self.instance_writer(kind)
        )
        if write is not None:
            return write
        for base in kind.__mro__:
            remedy = _REMEDIES.get(type_name(base))
            if remedy is not None:
                raise UnserializableError(f"is a {type_name(kind)}; {remedy}")
        raise UnserializableError(
            f"is a {type_name(kind)}, which the codec does not know; keep a plain value, a "
            "dataclass or an item instead, or register a codec for the type in RESUME_CODECS"
        )

    def instance_writer(self, kind: type) -> Write | None:
        """The function for a class with fields; ``None`` for any other class. Raises
        UnserializableError if the class's import path does not lead back to it."""
        return item_writer(self, kind)


class ItemWriter(ValueWriter):
    """Writes items. Of what cannot be restored as it is it writes what a feed would show: of a
    subclass of a plain type the value, of an item without a class to find again the fields."""

    def __init__(
        self, callables: Callables, registered: Mapping[type, RegisteredCodec], trust: Trust
    ) -> None:
        super().__init__(callables, registered, trust)
        self._views: WeakKeyDictionary[type, ViewWriter] = WeakKeyDictionary()

    def learn(self, kind: type) -> Write:
        """Of an item without a class to find again nothing is remembered beyond the class's own
        life: a spider may make one for each page."""
        view = self._views.get(kind)
        if view is not None:
            return view
        write = super().learn(kind)
        if isinstance(write, ViewWriter):
            self._views[kind] = write
            del self._writers[kind]
        return write

    def writer_for(self, kind: type) -> Write:
        """As for other values, and one for the subclasses of plain types and for every item."""
        try:
            return super().writer_for(kind)
        except UnserializableError:
            if _is_shown_by_fields(kind):
                return ViewWriter(self, kind)
            for base, plain in PLAIN_OF.items():
                if issubclass(kind, base):
                    return lambda writer, value, depth: writer.write(plain(value), depth)
            raise

    def instance_writer(self, kind: type) -> Write | None:
        """As for other values, but attributes that no feed shows may be left out."""
        return lenient_item_writer(self, kind)


def _is_shown_by_fields(kind: type) -> bool:
    return not issubclass(kind, dict) and ItemAdapter.is_item_class(kind)


class ValueReader(Reader):
    """Reads what a ValueWriter wrote. It is an error if a class or function is missing."""

    unnamed_reader: ClassVar[Read] = staticmethod(read_unnamed)

    def __init__(
        self, callables: Callables, registered: Mapping[type, RegisteredCodec], trust: Trust
    ) -> None:
        own: dict[str, Read] = {
            "$codec": _registered_reader(registered),
            "$unnamed": type(self).unnamed_reader,
        }
        super().__init__(callables, {**_READERS, **own}, trust)


class LenientReader(ValueReader):
    """For readers without the user's code: plain values stand in for what is missing."""

    unnamed_reader: ClassVar[Read] = staticmethod(read_unnamed_as_dict)

    def stand_in(self, tag: str, tree: dict[str, Any], error: CallbackMissingError) -> Any:
        """An instance becomes the dict of its fields, a named tuple a tuple, an enum member its
        value, a class or function its import path, a request the dict of its fields. A time whose
        time zone is not installed has no time zone.
        """
        if tag == "$item":
            return self.read({"$dict": tree["fields"]})
        if tag == "$namedtuple":
            return tuple(map(self.read, tree["fields"].values()))
        if tag == "$enum":
            return self.read(tree.get("value", tree["name"]))
        if tag == "$codec":
            return self.read(tree["value"])
        if tag == "$request":
            fields = untagged(self, tree)
            return {"url": self.read(fields.pop("$request")), **fields}
        if tag == "$defaultdict":
            return self.read({"$dict": tree["$defaultdict"]})
        return None if tag in ("$zone", "$zoneinfo") else tree[tag]


def _registered_writer(codec: RegisteredCodec) -> Write:
    def write(writer: Writer, value: Any, depth: int) -> Any:
        try:
            encoded = codec.encode(value)
        except Exception as error:
            raise UnserializableError(
                f"is a {type_name(type(value))}, and its codec in RESUME_CODECS failed: "
                f"{repr_of(error)}"
            ) from error
        return {"$codec": codec.path, "value": writer.write(encoded, depth - 1)}

    return write


def _registered_reader(registered: Mapping[type, RegisteredCodec]) -> Read:
    codecs = {codec.path: codec for codec in registered.values()}

    def read(reader: Reader, tree: dict[str, Any]) -> Any:
        codec = codecs.get(tree["$codec"])
        if codec is None:
            raise CallbackMissingError(
                f"a stored value needs the codec for {tree['$codec']}, which RESUME_CODECS does "
                "not have any more; put the entry back"
            )
        try:
            return codec.decode(reader.read(tree["value"]))
        except ResumeError:
            raise
        except Exception as error:
            raise CallbackMissingError(
                f"the codec for {codec.path} in RESUME_CODECS cannot read what it wrote "
                f"({repr_of(error)}); let decode() read earlier values too"
            ) from error

    return read
