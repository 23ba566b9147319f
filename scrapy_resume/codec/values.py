"""Python values ⇄ trees of JSON's own types, by exact type.

A ``Writer`` gives a tree from which a ``Reader`` makes an equal value of the same type, or raises
Refusal; it never approximates. One tag a type: see the package's docstring for the format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

from lxml.etree import _ElementUnicodeResult  # type: ignore[import-untyped]
from scrapy import Request

from scrapy_resume.codec.containers import containers, write_parts
from scrapy_resume.codec.objects import (
    object_writer,
    read_class,
    read_enum,
    read_item,
    read_namedtuple,
)
from scrapy_resume.codec.paths import path_of
from scrapy_resume.codec.plain import MAX_DEPTH
from scrapy_resume.codec.refusal import Refusal, type_name
from scrapy_resume.codec.requests import read_request, untagged, write_request
from scrapy_resume.codec.scalars import (
    PLAIN_OF,
    read_base64,
    read_zone,
    scalars,
    zone_writer,
)
from scrapy_resume.codec.state import refuse_unless_blank
from scrapy_resume.errors import CallbackMissingError, ResumeError, StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scrapy_resume.codec.callables import Callables
    from scrapy_resume.codec.registered import Registered

Write: TypeAlias = "Callable[[Writer, Any, int], Any]"
Read: TypeAlias = "Callable[[Reader, dict[str, Any]], Any]"

_ROWS = (*scalars(), *containers())

_REMEDIES = {
    "scrapy.http.response.Response": "keep its url, its text or what was parsed of it instead",
    "parsel.selector.Selector": "keep what it extracts, .get(), instead",
    "parsel.selector.SelectorList": "keep what it extracts, .getall(), instead",
    "itemloaders.ItemLoader": "keep the item that load_item() gives instead",
    "twisted.python.failure.Failure": "keep its message, .getErrorMessage(), instead",
    "scrapy.spiders.Spider": "callbacks have the spider as self",
}


def _write_native(writer: Writer, value: Any, depth: int) -> Any:
    return value


def _write_callable(writer: Writer, value: Any, depth: int) -> Any:
    return {"$callable": writer.callables.name(value)}


def _write_smart_string(writer: Writer, value: Any, depth: int) -> Any:
    """lxml's strings hold on to their document. CrawlSpider puts one into each request's meta."""
    return writer.write(str.__str__(value), depth)


def _read_callable(reader: Reader, tree: dict[str, Any]) -> Any:
    return reader.callables.find(tree["$callable"])


def _read_registered(reader: Reader, tree: dict[str, Any]) -> Any:
    return reader.read_registered(tree)


_WRITERS: dict[type, Write] = {
    type(None): _write_native,
    bool: _write_native,
    **{kind: write for kind, _, write, _ in _ROWS},
    list: write_parts,
    _ElementUnicodeResult: _write_smart_string,
    **dict.fromkeys((FunctionType, BuiltinFunctionType, MethodType), _write_callable),
}

_READERS: dict[str, Read] = {
    **{tag: read for _, tag, _, read in _ROWS},
    "$base64": read_base64,
    "$zone": read_zone,
    "$item": read_item,
    "$namedtuple": read_namedtuple,
    "$enum": read_enum,
    "$class": read_class,
    "$callable": _read_callable,
    "$request": read_request,
    "$codec": _read_registered,
}


class Writer:
    """Writes values that its Reader can restore, and refuses all others."""

    def __init__(
        self,
        callables: Callables,
        registered: Mapping[type, Registered],
        unnameable: Collection[str] = (),
    ) -> None:
        """``unnameable``: modules whose classes are refused."""
        self.callables = callables
        self._unnameable = unnameable
        self._class_paths: dict[type, str] = {}
        self._writers = dict(_WRITERS)
        self._writers.update((kind, _registered_writer(row)) for kind, row in registered.items())

    def write(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """Raises Refusal; ``depth`` is the number of levels that may follow."""
        if depth < 0:
            raise Refusal("refers to itself, or is nested too deeply; keep a flatter value")
        kind = type(value)
        write = self._writers.get(kind)
        if write is None:
            write = self._writers[kind] = self._writer_for(kind)
        return write(self, value, depth)

    def path_of(self, target: Any) -> str:
        """The import path that leads back to the object; raises Refusal if none does."""
        return path_of(target, self._unnameable)

    def class_path(self, kind: type) -> str:
        """As ``path_of``; raises Refusal too if the class's instances are more than their state."""
        path = self._class_paths.get(kind)
        if path is None:
            refuse_unless_blank(kind)
            path = self._class_paths[kind] = self.path_of(kind)
        return path

    def _writer_for(self, kind: type) -> Write:
        if issubclass(kind, Request):
            return write_request
        write = zone_writer(kind) or object_writer(self, kind)
        if write is not None:
            return write
        for base in kind.__mro__:
            remedy = _REMEDIES.get(type_name(base))
            if remedy is not None:
                raise Refusal(f"is a {type_name(kind)}; {remedy}")
        raise Refusal(
            f"is a {type_name(kind)}, which the codec does not know; keep a plain value, a "
            "dataclass or an item instead, or register a codec for the type in RESUME_CODECS"
        )


class ItemWriter(Writer):
    """For items: of a subclass of a plain type, what a feed would hold of it."""

    def _writer_for(self, kind: type) -> Write:
        try:
            return super()._writer_for(kind)
        except Refusal:
            if is_dataclass(kind) or hasattr(kind, "__attrs_attrs__"):
                raise
            for base, plain in PLAIN_OF.items():
                if issubclass(kind, base):
                    return lambda writer, value, depth: writer.write(plain(value), depth)
            raise


class Reader:
    """Reads what a Writer wrote; what the code no longer has is an error."""

    def __init__(self, callables: Callables, registered: Mapping[type, Registered]) -> None:
        self.callables = callables
        self._registered = {row.path: row for row in registered.values()}

    def read(self, tree: Any) -> Any:
        """Raises CallbackMissingError for classes and functions that no longer exist, and
        StoreDamagedError for a tree that no Writer wrote.
        """
        kind = type(tree)
        if kind is list:
            return list(map(self.read, tree))
        if kind is not dict or not tree:
            return tree
        tag = next(iter(tree))
        if tag[:1] != "$":
            return dict(zip(tree, map(self.read, tree.values()), strict=True))
        try:
            return _READERS[tag](self, tree)
        except CallbackMissingError as error:
            return self.stand_in(tag, tree, error)
        except ResumeError:
            raise
        except Exception as error:
            raise StoreDamagedError(
                f"a stored value tagged {tag} cannot be read ({error!r}); it was written by a "
                "newer version, or for another machine, or the store is damaged"
            ) from error

    def stand_in(self, tag: str, tree: dict[str, Any], error: CallbackMissingError) -> Any:
        """What to give for a value whose class or function is missing: here, the error."""
        raise error

    def read_registered(self, tree: dict[str, Any]) -> Any:
        """Raises CallbackMissingError if the codec is gone, or fails."""
        row = self._registered.get(tree["$codec"])
        if row is None:
            raise CallbackMissingError(
                f"a stored value needs the codec for {tree['$codec']}, which RESUME_CODECS does "
                "not have any more; put the entry back"
            )
        try:
            return row.decode(self.read(tree["value"]))
        except ResumeError:
            raise
        except Exception as error:
            raise CallbackMissingError(
                f"the codec for {row.path} in RESUME_CODECS cannot read what it wrote ({error!r}); "
                "let decode() read earlier values too"
            ) from error


class LenientReader(Reader):
    """For those who read without the user's code: plain values stand in for what is missing."""

    def stand_in(self, tag: str, tree: dict[str, Any], error: CallbackMissingError) -> Any:
        """An instance becomes the dict of its fields, a named tuple a tuple, an enum member its
        value, a class or function its path, a request the dict of its fields; a time in a zone that
        is not installed has none.
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


def _registered_writer(row: Registered) -> Write:
    def write(writer: Writer, value: Any, depth: int) -> Any:
        try:
            encoded = row.encode(value)
        except Exception as error:
            raise Refusal(
                f"is a {type_name(type(value))}, and its codec in RESUME_CODECS failed: {error!r}"
            ) from error
        return {"$codec": row.path, "value": writer.write(encoded, depth - 1)}

    return write
