"""What tells requests with equal fingerprints apart: callback, errback, ``cb_kwargs``, ``meta``.

The text is canonical: it is the same in each process for equal values, in whatever order a dict or
a set is iterated. A value that the codec does not know counts by its type alone, because its
``repr`` may have an address; so does a callable without a name by the name of its definition and
its default arguments. Where a class is defined, and what it is called, may change between two runs:
an instance counts by its fields.

Names of callbacks, functions and classes may change, too. A request has one text for each name that
each of them may have had (see ``name_history``); it is the first one by which a new request is
known.

Of ``meta`` only the user's own keys count, and ``cookiejar``. All others of Scrapy's either are
written under way (``depth``, ``retry_times``, ``redirect_urls``, ``download_latency``), and come
back with ``meta=response.meta``, or say how to fetch a page and not which (``proxy``,
``download_timeout``, ``max_retry_times``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from scrapy_resume.codec.json_text import TAG_MARK, dumps, is_plain, loads, plain_text
from scrapy_resume.codec.name_history import CLASS
from scrapy_resume.codec.requests import telling_fields
from scrapy_resume.codec.unserializable import UnserializableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy_resume.codec.name_history import OtherNames
    from scrapy_resume.codec.writer_reader import Writer

SCRAPYS_META: Final = frozenset(
    {
        # Written by the engine, the downloader, middlewares and CrawlSpider.
        *("cache_timestamp", "cached_response", "depth", "download_latency", "download_slot"),
        *("is_secure", "is_start_request", "link_text", "redirect_reasons", "redirect_times"),
        *("redirect_ttl", "redirect_urls", "retry_times", "rule"),
        *("_auth_proxy", "_dont_cache", "_scheme_proxy"),
        # Set by spiders: how to fetch, not what.
        *("allow_offsite", "autothrottle_dont_adjust_delay", "bindaddress", "depth_reset"),
        *("dont_cache", "dont_merge_cookies", "dont_obey_robotstxt", "dont_redirect"),
        *("dont_retry", "download_fail_on_dataloss", "download_maxsize", "download_timeout"),
        *("download_warnsize", "ftp_local_filename", "ftp_passive", "ftp_password", "ftp_user"),
        *("give_up_log_level", "handle_httpstatus_all", "handle_httpstatus_list"),
        *("http_auth_domain", "http_pass", "http_user", "max_retry_times"),
        *("priority_adjust", "proxy", "referrer_policy", "verbatim_url"),
        # This package's own; ``resume_unit`` says what a request is for, and counts.
        *("resume_delta", "resume_every_run", "resume_key"),
    }
)
"""Keys of ``meta`` that tell no requests apart."""

_NESTED: Final = 20
"""Levels of a value of which a part is unknown; below, types count."""

_UNORDERED: Final = frozenset({"$set", "$frozenset", "$dict", "$defaultdict", "$counter"})
"""Tags of lists whose order means nothing."""

_CLASSES: Final = frozenset({"$item", "$namedtuple", "$enum", "$codec"})
"""Tags of instances; the value is the path of their class."""

DEFAULT: Final = "parse"
"""The callback of a request that names none."""

_MARK: Final = TAG_MARK.encode()

_canonical = msgspec.json.Encoder(order="deterministic").encode


def telling_texts(writer: Writer, request: Any, names: OtherNames) -> list[bytes]:
    """What tells the request apart from others with its fingerprint, the first text, and others by
    which it may be known, since code was renamed. An empty text: nothing does."""
    callback, errback, cb_kwargs, meta = telling_fields(request)
    fields: dict[str, Any] = {}
    if callback is not None:
        name = _name(writer, callback)
        if name != DEFAULT:
            fields["callback"] = name
    if errback is not None:
        fields["errback"] = _name(writer, errback)
    if cb_kwargs:
        fields["cb_kwargs"] = cb_kwargs
    if meta and (own := {k: v for k, v in meta.items() if k not in SCRAPYS_META}):
        fields["meta"] = own
    if names.any:
        return _texts(writer, {"callback": DEFAULT, **fields}, names)
    return [_text(writer, fields)]


def _text(writer: Writer, fields: dict[str, Any]) -> bytes:
    if not fields:
        return b""
    if is_plain(fields):
        try:
            text = _canonical(fields)
        except (ValueError, RecursionError):
            pass  # lone surrogates, huge integers: the writer tags them
        else:
            if _MARK not in text:
                return text
    return _canonical(_trees(writer, fields))


def _trees(writer: Writer, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        field: value if type(value) is str else _tree(writer, value, _NESTED)
        for field, value in fields.items()
    }


def _texts(writer: Writer, fields: dict[str, Any], names: OtherNames) -> list[bytes]:
    """The texts of the fields by all names that each of their names may have had."""
    trees = _trees(writer, fields)
    found = {name for part in trees.values() for name in _names_in(part)}
    found.update(value for value in trees.values() if type(value) is str)
    ordered, texts = sorted(found), []
    for chosen in names.together(ordered):
        new = dict(zip(ordered, chosen, strict=True))
        named = {
            field: new[value] if type(value) is str else _renamed(value, new)
            for field, value in trees.items()
        }
        if named["callback"] == DEFAULT:
            del named["callback"]
        texts.append(_canonical(named) if named else b"")
    return list(dict.fromkeys(texts))


def _names_in(tree: Any) -> set[str]:
    """The names of callables and classes in a value, as ``name_history`` has them."""
    if type(tree) is list:
        return {name for part in tree for name in _names_in(part)}
    if type(tree) is not dict:
        return set()
    if type(tree.get("$class")) is str:
        return {f"{CLASS}:{tree['$class']}"}
    if type(tree.get("$callable")) is str:
        return {tree["$callable"]}
    return {name for part in tree.values() for name in _names_in(part)}


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    """The value with other names."""
    if type(tree) is list:
        return [_renamed(part, names) for part in tree]
    if type(tree) is not dict:
        return tree
    if type(tree.get("$class")) is str:
        return {"$class": names[f"{CLASS}:{tree['$class']}"].partition(":")[2]}
    if type(tree.get("$callable")) is str:
        return {"$callable": names[tree["$callable"]]}
    return {key: _renamed(part, names) for key, part in tree.items()}


def state_text(writer: Writer, value: Any) -> bytes:
    """Bytes that differ if the value has changed, a dict's order included. A part that the codec
    does not know counts by its type."""
    text = plain_text(value)
    if text is not None:
        return text.encode("utf-8", "surrogatepass")
    try:
        return dumps(writer.write(value)).encode("utf-8", "surrogatepass")
    except (UnserializableError, RecursionError):
        return _canonical(_tree(writer, value, _NESTED))


def differing_fields(payload: str, other: str) -> list[str]:
    """The names of what tells two recorded requests apart, ``cb_kwargs['city']`` for example."""
    one, two = loads(payload), loads(other)
    names = [name for name in ("callback", "errback") if one.get(name) != two.get(name)]
    for field in ("cb_kwargs", "meta"):
        left, right = one.get(field) or {}, two.get(field) or {}
        ignored = SCRAPYS_META if field == "meta" else frozenset()
        names += [
            f"{field}[{key!r}]"
            for key in sorted({*left, *right} - ignored)
            if key not in left or key not in right or left[key] != right[key]
        ]
    return names


def _name(writer: Writer, function: Callable[..., Any]) -> Any:
    try:
        return writer.callables.name(function)
    except UnserializableError:
        return _definition(writer, function, _NESTED)


def _definition(writer: Writer, function: Any, levels: int) -> Any:
    """A callable that has no name of its own: a lambda, a partial, a method of another object."""
    if isinstance(function, partial):
        parts = [function.func, *function.args, function.keywords]
        return {"$partial": [_tree(writer, part, levels - 1) for part in parts]}
    name = getattr(function, "__name__", "")
    defaults = getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None)
    return {"$definition": name, "defaults": _tree(writer, defaults, levels - 1)}


def _tree(writer: Writer, value: Any, levels: int) -> Any:
    """The value as the codec writes it; the parts that it does not know by their types."""
    try:
        return _ordered(writer.write(value))
    except (UnserializableError, RecursionError):
        pass
    if levels > 0:
        if isinstance(value, dict):
            return {"$dict": _entries(writer, value, levels - 1)}
        if isinstance(value, list | tuple):
            return [_tree(writer, part, levels - 1) for part in value]
        if isinstance(value, set | frozenset):
            return {"$set": sorted((_tree(writer, v, levels - 1) for v in value), key=_canonical)}
        if callable(value) and not isinstance(value, type):
            return _definition(writer, value, levels)
    return {"$type": type(value).__name__}


def _ordered(tree: Any) -> Any:
    """The tree with the members of sets, and the pairs of dicts, in the order of their text, and
    without the classes of instances."""
    if isinstance(tree, list):
        return [_ordered(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    ordered = {name: _ordered(part) for name, part in tree.items()}
    for tag in _CLASSES.intersection(ordered):
        if isinstance(ordered[tag], str):
            ordered[tag] = ""
    for tag in _UNORDERED.intersection(ordered):
        if isinstance(ordered[tag], list):
            ordered[tag] = sorted(ordered[tag], key=_canonical)
    return ordered


def _entries(writer: Writer, entries: Mapping[Any, Any], levels: int) -> list[Any]:
    """The entries, sorted: equal dicts that were filled in another order are equal."""
    pairs = ([_tree(writer, k, levels), _tree(writer, v, levels)] for k, v in entries.items())
    return sorted(pairs, key=_canonical)
