"""Containers of the standard library, and Scrapy's Headers.

The entries of a mapping are a JSON object if all keys are text, otherwise a list of pairs. Sets
are sorted by the text of their members, so that equal sets have equal text in every process.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from scrapy.http.headers import Headers

from scrapy_resume.codec.json_text import dumps
from scrapy_resume.codec.scalars import is_utf8
from scrapy_resume.codec.unserializable import UnserializableError, key_step, type_name
from scrapy_resume.codec.writer_reader import TaggedType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from scrapy_resume.codec.writer_reader import Reader, Writer


def containers() -> Iterator[TaggedType]:
    """The types of this module, except ``list``."""
    yield TaggedType(dict, "$dict", _write_dict, _read_dict)
    yield _sequence("$tuple", tuple)
    yield TaggedType(set, "$set", _write_set, lambda reader, tree: set(reader.read(tree["$set"])))
    yield TaggedType(frozenset, "$frozenset", _write_frozenset, _read_frozenset)
    yield TaggedType(deque, "$deque", _write_deque, _read_deque)
    yield TaggedType(OrderedDict, "$ordereddict", _write_ordereddict, _read_ordereddict)
    yield TaggedType(defaultdict, "$defaultdict", _write_defaultdict, _read_defaultdict)
    yield TaggedType(Counter, "$counter", _write_counter, _read_counter)
    yield TaggedType(SimpleNamespace, "$namespace", _write_namespace, _read_namespace)
    yield TaggedType(Headers, "$headers", _write_headers, _read_headers)


def write_parts(writer: Writer, parts: Collection[Any], depth: int) -> list[Any]:
    """The members of a sequence or set. A list is written in the same way, without a tag."""
    trees: list[Any] = []
    for index, part in enumerate(parts):
        try:
            trees.append(writer.write(part, depth - 1))
        except UnserializableError as error:
            error.within(f"[{index}]")
            raise
    return trees


def write_entries(writer: Writer, mapping: dict[Any, Any], depth: int) -> Any:
    """The entries of a mapping, without a tag."""
    named = all(type(key) is str and is_utf8(key) for key in mapping)
    pairs: list[list[Any]] = []
    for key, value in mapping.items():
        try:
            name = key if named else writer.write(key, depth - 1)
            pairs.append([name, writer.write(value, depth - 1)])
        except UnserializableError as error:
            error.within(key_step(key))
            raise
    return dict(pairs) if named else pairs


def write_fields(writer: Writer, fields: dict[str, Any], depth: int) -> dict[str, Any]:
    """The attributes of an instance: name → tree."""
    trees: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            trees[name] = writer.write(value, depth - 1)
        except UnserializableError as error:
            error.within(f".{name}")
            raise
    return trees


def read_entries(reader: Reader, entries: Any) -> dict[Any, Any]:
    """Reads what ``write_entries`` wrote."""
    if type(entries) is dict:
        return dict(zip(entries, map(reader.read, entries.values()), strict=True))
    return {reader.read(key): reader.read(value) for key, value in entries}


def headers_tree(headers: Headers) -> dict[str, Any]:
    """Names and values as Latin-1 text, which has a character for each byte; values of a name as a
    list unless there is exactly one.

    Raises UnserializableError for contents that the methods of Headers cannot have produced.
    """
    if type(headers) is not Headers or len(headers.__dict__) != 1:
        raise UnserializableError(f"is a {type_name(type(headers))} and not Scrapy's own Headers")
    tree: dict[str, Any] = {}
    for name, values in dict.items(headers):
        if type(name) is not bytes or type(values) is not list:
            raise UnserializableError(f"has {key_step(name)}, which is not a list of bytes")
        texts = []
        for value in values:
            if type(value) is not bytes:
                raise UnserializableError(f"has {key_step(name)}, which is not a list of bytes")
            texts.append(value.decode("latin-1"))
        tree[name.decode("latin-1")] = texts[0] if len(texts) == 1 else texts
    return tree


def headers_from(tree: dict[str, Any], encoding: str) -> Headers:
    """Reads what ``headers_tree`` wrote. Names and values are not normalised a second time."""
    headers = Headers(encoding=encoding)
    for name, texts in tree.items():
        values = [texts] if type(texts) is str else texts
        dict.__setitem__(
            headers, name.encode("latin-1"), [text.encode("latin-1") for text in values]
        )
    return headers


def _sequence(tag: str, kind: type) -> TaggedType:
    def write(writer: Writer, value: Any, depth: int) -> Any:
        return {tag: write_parts(writer, value, depth)}

    def read(reader: Reader, tree: dict[str, Any]) -> Any:
        return kind(map(reader.read, tree[tag]))

    return TaggedType(kind, tag, write, read)


def _write_dict(writer: Writer, value: dict[Any, Any], depth: int) -> Any:
    entries = write_entries(writer, value, depth)
    if type(entries) is list or any(key.startswith("$") for key in entries):
        return {"$dict": entries}
    return entries


def _read_dict(reader: Reader, tree: dict[str, Any]) -> dict[Any, Any]:
    return read_entries(reader, tree["$dict"])


def _write_set(writer: Writer, value: set[Any], depth: int) -> Any:
    return {"$set": sorted(write_parts(writer, value, depth), key=dumps)}


def _write_frozenset(writer: Writer, value: frozenset[Any], depth: int) -> Any:
    return {"$frozenset": sorted(write_parts(writer, value, depth), key=dumps)}


def _read_frozenset(reader: Reader, tree: dict[str, Any]) -> frozenset[Any]:
    return frozenset(reader.read(tree["$frozenset"]))


def _write_deque(writer: Writer, value: deque[Any], depth: int) -> Any:
    tree: dict[str, Any] = {"$deque": write_parts(writer, value, depth)}
    return tree if value.maxlen is None else {**tree, "maxlen": value.maxlen}


def _read_deque(reader: Reader, tree: dict[str, Any]) -> deque[Any]:
    return deque(reader.read(tree["$deque"]), tree.get("maxlen"))


def _write_ordereddict(writer: Writer, value: OrderedDict[Any, Any], depth: int) -> Any:
    _refuse_attributes(value)
    return {"$ordereddict": write_entries(writer, value, depth)}


def _read_ordereddict(reader: Reader, tree: dict[str, Any]) -> OrderedDict[Any, Any]:
    return OrderedDict(read_entries(reader, tree["$ordereddict"]))


def _write_defaultdict(writer: Writer, value: defaultdict[Any, Any], depth: int) -> Any:
    try:
        factory = writer.write(value.default_factory, depth - 1)
    except UnserializableError as error:
        error.within(".default_factory")
        raise
    return {"$defaultdict": write_entries(writer, value, depth), "factory": factory}


def _read_defaultdict(reader: Reader, tree: dict[str, Any]) -> defaultdict[Any, Any]:
    entries = read_entries(reader, tree["$defaultdict"])
    return defaultdict(reader.read(tree["factory"]), entries)


def _write_counter(writer: Writer, value: Counter[Any], depth: int) -> Any:
    _refuse_attributes(value)
    return {"$counter": write_entries(writer, value, depth)}


def _read_counter(reader: Reader, tree: dict[str, Any]) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    # Counter.update would add the values, which need not be numbers.
    dict.update(counter, read_entries(reader, tree["$counter"]))
    return counter


def _write_namespace(writer: Writer, value: SimpleNamespace, depth: int) -> Any:
    return {"$namespace": write_entries(writer, vars(value), depth)}


def _read_namespace(reader: Reader, tree: dict[str, Any]) -> SimpleNamespace:
    namespace = SimpleNamespace()
    vars(namespace).update(read_entries(reader, tree["$namespace"]))
    return namespace


def _write_headers(writer: Writer, value: Headers, depth: int) -> Any:
    return {"$headers": headers_tree(value), "encoding": value.encoding}


def _read_headers(reader: Reader, tree: dict[str, Any]) -> Headers:
    return headers_from(tree["$headers"], tree["encoding"])


def _refuse_attributes(value: object) -> None:
    if vars(value):
        raise UnserializableError(
            f"is a {type_name(type(value))} with attributes of its own: {', '.join(vars(value))}"
        )
