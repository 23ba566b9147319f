"""The options of a feed that is a database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import digest

ON_CONFLICT: Final = ("update", "fill", "ignore")
ON_REMOVED: Final = ("keep", "mark", "delete")
SCHEMA: Final = ("evolve", "freeze", "discard")

OWN: Final = frozenset(
    {"primary_key", "on_conflict", "on_removed", "schema", "batch_size", "overwrite"}
)
SCRAPY: Final = frozenset(
    {
        "batch_item_count",
        "encoding",
        "fields",
        "format",
        "indent",
        "item_classes",
        "item_export_kwargs",
        "item_filter",
        "store_empty",
        "uri_params",
    }
)
"""Scrapy's own, and those of them that it adds with their defaults."""

BATCH_SIZE: Final = 500

CONTENT: Final = ("fields", "item_classes", "item_export_kwargs", "item_filter", "primary_key")
"""Options on which the rows depend: if one is changed, all items are written again."""


def content_digest(options: Mapping[str, Any]) -> str:
    """A digest of the options on which the rows depend."""
    text = json.dumps([options.get(name) for name in CONTENT], default=_named)
    return digest(text.encode()).hex()


def _named(value: Any) -> str:
    """The import path of a class or function, ``repr`` of anything else."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name is not None else repr(value)


@dataclass(frozen=True)
class DatabaseOptions:
    """See docs/databases.md."""

    primary_key: tuple[str, ...] = ()
    """Names of fields; empty: none."""
    on_conflict: str = "update"
    on_removed: str = "keep"
    schema: str = "evolve"
    batch_size: int = BATCH_SIZE
    """Items a transaction, at most."""
    overwrite: bool = False


def parsed_options(feed: str, options: Mapping[str, Any]) -> DatabaseOptions:
    """Raises ``ConfigurationError``. ``feed``: its URI, as it may be shown."""
    unknown = sorted(str(name) for name in options.keys() - OWN - SCRAPY)
    if unknown:
        raise ConfigurationError(
            f"the feed {feed} has the unknown option {', '.join(unknown)}: a feed of the format sql"
            f" has {', '.join(sorted(OWN))}, and Scrapy's fields, item_classes and item_filter"
        )
    if options.get("batch_item_count"):
        raise ConfigurationError(
            f"the feed {feed} has batch_item_count, which makes several files: a table has none."
            " batch_size is the number of items a transaction"
        )
    return DatabaseOptions(
        primary_key=_primary_key(feed, options.get("primary_key")),
        on_conflict=_one_of(feed, options, "on_conflict", ON_CONFLICT),
        on_removed=_one_of(feed, options, "on_removed", ON_REMOVED),
        schema=_one_of(feed, options, "schema", SCHEMA),
        batch_size=_batch_size(feed, options.get("batch_size", BATCH_SIZE)),
        overwrite=bool(options.get("overwrite", False)),
    )


def _one_of(feed: str, options: Mapping[str, Any], name: str, words: Sequence[str]) -> str:
    given = options.get(name, words[0])
    if given not in words:
        raise ConfigurationError(
            f"the feed {feed} has {name} = {given!r}: it is one of {', '.join(words)}"
        )
    return str(given)


def _primary_key(feed: str, given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    names = (given,) if isinstance(given, str) else tuple(given) if _is_list(given) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError(
            f"the feed {feed} has primary_key = {given!r}: it is a field, or a list of fields"
        )
    if len(set(names)) < len(names):
        raise ConfigurationError(f"the feed {feed} has a field twice in primary_key = {given!r}")
    return names


def _is_list(given: Any) -> bool:
    return isinstance(given, list | tuple)


def _batch_size(feed: str, given: Any) -> int:
    try:
        size = int(given)
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        raise ConfigurationError(
            f"the feed {feed} has batch_size = {given!r}: it is a number of items, from 1"
        )
    return size
