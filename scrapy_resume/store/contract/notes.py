"""What a store keeps beside the requests, and gives back: of files, hosts, events, items."""

from __future__ import annotations

from typing import Any, NamedTuple


class FeedNote(NamedTuple):
    """What the store keeps of one file of a feed."""

    feed: str
    """The feed's URI, with its parameters unfilled."""
    batch: int
    """Scrapy's ``batch_id``, from 1: the file among the feed's."""
    record: str
    """JSON, as the feeds wrote it."""
    settled: bool
    """No later run wants to know it: it is kept for people."""


class HostNote(NamedTuple):
    """What the store keeps of a host with which something is the matter."""

    key: str
    record: str
    """JSON, as the run wrote it."""


class EventNote(NamedTuple):
    """Events that somebody is to be told of, until the store hears that they were."""

    id: int
    events: list[dict[str, Any]]
    """In order; each has its name under ``event``."""


class StoredItem(NamedTuple):
    """An item that is visible."""

    id: int
    """Ascending in the order in which items became visible, with gaps; never used twice."""
    payload: str
