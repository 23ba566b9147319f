"""Requests ⇄ their payloads: the fields that differ from those of a new ``Request``.

    {"callback":"parse_book","meta":{"depth":2}}

The URL and the priority are not in the payload, because the store has columns for them. The other
fields are: ``callback``, ``errback``, ``headers`` (Latin-1 text, a list unless there is exactly one
value), ``body`` (text, or ``$base64``), ``method``, ``cookies``, ``meta``, ``cb_kwargs``,
``encoding``, ``dont_filter``, ``flags``; for subclasses also ``class`` and their own
``attributes``; ``headers_encoding`` if it differs from the request's; of a ``CrawlSpider`` also
``rule`` or ``meta_rule`` (see ``rules``); ``shared`` if values are shared with other requests (see
``shared_values``).

Scrapy creates a request's rarer fields on first access. They are read and restored here as the
attributes in which ``__init__`` keeps them: that costs a fraction, and the URL is not cleaned a
second time. All other attributes of a subclass are stored under ``attributes`` as they are.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.http.headers import Headers

from scrapy_resume.codec.containers import headers_from, headers_tree
from scrapy_resume.codec.instance_state import blank, set_state, state_of
from scrapy_resume.codec.json_text import MAX_DEPTH, TAG_MARK, dumps, loads, plain_text
from scrapy_resume.codec.rules import CALLBACK, ERRBACK, META
from scrapy_resume.codec.scalars import bytes_tree
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import (
    CallbackMissingError,
    ResumeError,
    ScrapyChangedError,
    StoreDamagedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy_resume.codec.rules import CrawlRules
    from scrapy_resume.codec.writer_reader import Reader, Writer

_NESTED_DEPTH = 4
"""Levels that a request within a request counts for: writing it takes as many stack frames."""

_VALUES = ("method", "cookies", "meta", "cb_kwargs", "encoding", "dont_filter", "flags")
_RARE = ("errback", "body", "method", "cookies", "cb_kwargs", "encoding", "dont_filter", "flags")
_COMMON = ("callback", "headers", "meta")

# Attribute → value after Scrapy's __init__. The names differ between versions of Scrapy.
_FRESH = state_of(Request("about:blank"))
_ATTRIBUTE = {
    name: f"_{name}" if f"_{name}" in _FRESH else name
    for name in (*_COMMON, *_RARE, "url", "priority")
}
_KNOWN = frozenset(_ATTRIBUTE.values())
_MUTABLE = {name: type(value) for name, value in _FRESH.items() if type(value) in (dict, list)}
_MAKES_HEADERS = _FRESH.get(_ATTRIBUTE["headers"]) is not None

_read_common: Callable[[Request], Any] = attrgetter(*(_ATTRIBUTE[name] for name in _COMMON))
_read_telling: Callable[[Request], Any] = attrgetter(
    *(_ATTRIBUTE[name] for name in ("callback", "errback", "cb_kwargs", "meta"))
)
_read_rare: Callable[[Request], Any] = attrgetter(*(_ATTRIBUTE[name] for name in _RARE))
_FRESH_RARE = tuple(_FRESH.get(_ATTRIBUTE[name]) for name in _RARE)
# Whether a plain request may have more than these fields: versions of Scrapy without slots, or
# with new ones.
_IN_DICT = bool(Request.__dictoffset__)
_OPEN = _IN_DICT or len(_KNOWN) != len(_FRESH)
_CALLABLES = ("callback", "errback")
SHARED_FIELD = "shared"
"""The field that names values shared with other requests: lists of (path, name, requests)."""

_ELSEWHERE = frozenset(
    {"class", "headers", "headers_encoding", "attributes", "rule", "meta_rule", SHARED_FIELD}
)


def check_layout() -> None:
    """Raise ScrapyChangedError if this version of Scrapy keeps a request's fields elsewhere."""
    missing = sorted(_KNOWN.difference(_FRESH))
    if missing:
        raise ScrapyChangedError(
            f"scrapy.Request does not keep {', '.join(missing)} any more; use a version of Scrapy "
            "that this version of scrapy-resume supports"
        )


def telling_fields(request: Request) -> tuple[Any, Any, Any, Any]:
    """(callback, errback, cb_kwargs, meta), which tell requests with equal fingerprints apart.
    Empty ones may be ``None``."""
    return _read_telling(request)  # type: ignore[no-any-return]


def request_text(writer: Writer, request: Request, shared: Sequence[Any] = ()) -> str:
    """The payload. ``shared``: the value of the field. Raises UnserializableError."""
    fields = _fields_of(writer, request)
    if shared:
        fields[SHARED_FIELD] = shared
    return plain_text(fields) or dumps(_tagged(writer, fields))


def request_from_text(reader: Reader, url: str, text: str, priority: int) -> Request:
    """The request. Raises CallbackMissingError and StoreDamagedError."""
    fields = loads(text)
    try:
        if TAG_MARK in text:
            if "$codec" in fields:
                return _registered_request(reader, fields, priority)
            fields = untagged(reader, fields)
        return _restore(reader, fields, url, priority)
    except ResumeError:
        raise
    except Exception as error:
        raise StoreDamagedError(
            f"the stored request for {url} cannot be read ({error!r}); it was written by a newer "
            "version, or the store is damaged"
        ) from error


def write_request(writer: Writer, request: Request, depth: int) -> Any:
    """The tree of a request that is a value of another request or of an item."""
    depth -= _NESTED_DEPTH
    tree: dict[str, Any] = {"$request": writer.write(request.url, depth)}
    if request.priority:
        tree["priority"] = writer.write(request.priority, depth)
    try:
        return {**tree, **_tagged(writer, _fields_of(writer, request), depth)}
    except UnserializableError as error:
        error.within(".")
        raise


def read_request(reader: Reader, tree: dict[str, Any]) -> Request:
    """Reads what ``write_request`` wrote."""
    fields = untagged(reader, tree)
    url, priority = reader.read(fields.pop("$request")), reader.read(fields.pop("priority", 0))
    return _restore(reader, fields, url, priority)


def _fields_of(writer: Writer, request: Request) -> dict[str, Any]:
    """The fields that differ from a new request's: ``_VALUES`` as they are, others as JSON."""
    fields: dict[str, Any] = {}
    kind = type(request)
    if kind is not Request:
        fields["class"] = writer.class_path(kind)
    callback, headers, meta = _read_common(request)
    rare = _read_rare(request)
    if callback is not None:
        fields["callback"] = writer.callables.name(callback, "callback")
    elif writer.callables.default is not None:
        fields["callback"] = writer.callables.default
    if rare != _FRESH_RARE:
        _add_rare(writer, fields, rare)
    if headers is not None:
        _add_headers(fields, headers, request.encoding)
    if meta:
        fields["meta"] = meta
        if writer.rules is not None and META in meta:
            _add_rule(fields, writer.rules.text(meta[META]))
    if _OPEN or kind is not Request:
        attributes = _extra_state(request)
        if attributes:
            fields["attributes"] = attributes
    return fields


def _add_rule(fields: dict[str, Any], rule: tuple[str, str] | None) -> None:
    if rule is None:
        return
    if fields.get("callback") == CALLBACK:
        fields["callback"], fields["rule"] = rule
    else:
        fields["meta_rule"] = " ".join(rule)


def _place_of_rule(rules: CrawlRules, fields: dict[str, Any]) -> int | None:
    """The place in the list that the rule of a request has now; ``None``: there is none, and only
    the spider's own code may ask for it. Raises CallbackMissingError."""
    if "rule" in fields:
        return rules.index(fields["callback"], fields["rule"])
    callback, _, digests = fields["meta_rule"].partition(" ")
    try:
        return rules.index(callback, digests)
    except CallbackMissingError:
        if fields.get("errback") == ERRBACK:
            raise
        return None


def _add_rare(writer: Writer, fields: dict[str, Any], rare: tuple[Any, ...]) -> None:
    for name, value, fresh in zip(_RARE, rare, _FRESH_RARE, strict=True):
        # Scrapy treats an empty value as one that was not given.
        if value == fresh or not (value or fresh):
            continue
        if name == "errback":
            value = writer.callables.name(value, name)
        elif name == "body":
            value = _readable(value)
        fields[name] = value


def _tagged(writer: Writer, fields: dict[str, Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    for name in (*_VALUES, "attributes"):
        if name in fields:
            try:
                fields[name] = writer.write(fields[name], depth)
            except UnserializableError as error:
                error.within(name)
                raise
    return fields


def untagged(reader: Reader, fields: dict[str, Any]) -> dict[str, Any]:
    """Read the values of the fields; callbacks, class and headers remain JSON."""
    # Names of headers may begin with a dollar sign, which is no tag there.
    return {
        name: value if name == "headers" or name[:1] == "$" else reader.read(value)
        for name, value in fields.items()
    }


def _restore(reader: Reader, fields: dict[str, Any], url: str, priority: int) -> Request:
    kind = Request
    if "class" in fields:
        kind = reader.trust.resolve_type(fields["class"], _is_request, "a request class")
    state = _FRESH.copy()
    for name, make in _MUTABLE.items():
        state[name] = make()
    if _MAKES_HEADERS or "headers" in fields or "headers_encoding" in fields:
        encoding = fields.get("headers_encoding") or fields.get("encoding", "utf-8")
        state[_ATTRIBUTE["headers"]] = headers_from(fields.get("headers", {}), encoding)
    state[_ATTRIBUTE["url"]] = url
    state["priority"] = priority
    if reader.rules is not None and ("rule" in fields or "meta_rule" in fields):
        place = _place_of_rule(reader.rules, fields)
        if "rule" in fields:
            fields["callback"] = CALLBACK
        if place is not None:
            fields["meta"][META] = place
    elif "callback" not in fields and reader.callables.default is not None:
        fields["callback"] = "parse"
    for name, value in fields.items():
        if name in _CALLABLES:
            state[name] = reader.callables.find(value, name)
        elif name in _VALUES:
            state[_ATTRIBUTE[name]] = value
        elif name == "body":
            state[_ATTRIBUTE["body"]] = value.encode() if type(value) is str else value
        elif name not in _ELSEWHERE:
            raise ValueError(f"unknown field {name!r}")
    request: Request = blank(kind)
    if kind is Request and "attributes" not in fields:
        for name, value in state.items():
            setattr(request, name, value)
    else:
        set_state(request, {**state, **fields.get("attributes", {})})
    return request


def _is_request(kind: type) -> bool:
    return issubclass(kind, Request)


def _registered_request(reader: Reader, tree: dict[str, Any], priority: int) -> Request:
    request = reader.read(tree)
    if not isinstance(request, Request):
        raise TypeError(f"its codec gives a {type_name(type(request))} and not a Request")
    request.priority = priority
    return request


def _add_headers(fields: dict[str, Any], headers: Headers, encoding: str) -> None:
    if type(headers) is Headers and not headers and headers.encoding == encoding:
        return
    try:
        tree = headers_tree(headers)
    except UnserializableError as error:
        error.within("headers")
        raise
    if tree:
        fields["headers"] = tree
    if headers.encoding != encoding:
        fields["headers_encoding"] = headers.encoding


def _readable(body: bytes) -> str | dict[str, str]:
    """The body as text if it is UTF-8, otherwise tagged."""
    if type(body) is not bytes:
        error = UnserializableError(f"is a {type_name(type(body))} and not bytes")
        error.within("body")
        raise error
    tree = bytes_tree(body)
    return tree.get("$bytes", tree)


def _extra_state(request: Request) -> dict[str, Any]:
    if _IN_DICT and type(request) is Request and len(vars(request)) == len(_KNOWN):
        return {}
    return {
        name: value
        for name, value in state_of(request).items()
        if name not in _KNOWN and not (name in _FRESH and value == _FRESH[name])
    }
