"""What a store keeps beside the requests and returns later: state, files, hosts, events, items."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from msgspec import Struct, field


class SavedState(Struct, kw_only=True):
    """The spider's own state and its cookies, serialized."""

    spider_state: str | None = None
    """``None``: in a session, nothing was saved; in a batch, it has not changed."""
    cookies: dict[str, str] = field(default_factory=dict)
    """Cookie jar → payload; in a batch, the jars that changed."""


class ItemPosition(Struct, kw_only=True):
    """How many items the job has stored, for readers that follow them."""

    last_id: int = 0
    """The highest id of an item; 0: see ``JobStore.last_item``."""
    given: int = 0
    """How many of the ids up to it were assigned by this batch, to its items in order."""
    superseded: int = 0
    """How many items the job has deleted since it began. If the number has changed, a reader may
    have read items that no longer exist. (An item that another one with its key replaces is not
    counted, unless its request is fetched in every run.)"""


class FeedNote(NamedTuple):
    """What the store keeps of one file of a feed."""

    feed: str
    """The feed's URI, with its parameters unfilled."""
    batch: int
    """Scrapy's ``batch_id``, from 1: the file among the feed's."""
    record: str
    """JSON, as the feeds wrote it."""
    settled: bool
    """No later run needs it; it is kept for reports."""


class HostNote(NamedTuple):
    """What the store keeps of a host that is unavailable or has asked for a pause."""

    key: str
    record: str
    """JSON, as the run wrote it."""


END_OWED: Final = "end_owed"
"""The name of the event, of no signal, that a job is completed and its crawl has not ended yet."""


class EventNote(NamedTuple):
    """Events that the store keeps until they are delivered."""

    id: int
    events: list[dict[str, Any]]
    """In order; each has its name under ``event``."""


class EndedUnit(NamedTuple):
    """A unit that ``meta["resume_unit"]`` has named, and of which nothing is open any more."""

    name: str
    done: int
    """Its requests by what became of them, as are the next three."""
    failed: int
    parked: int
    ignored: int
    items: int
    """Stored items that its requests gave."""
    items_failed: int
    """Items that a pipeline lost."""

    @property
    def pages(self) -> int:
        """Its requests that have ended."""
        return self.done + self.failed + self.ignored


class StoredItem(NamedTuple):
    """An item that is visible."""

    id: int
    """Ascending in the order in which items became visible, with gaps; never used twice."""
    payload: str


class LookedUp(NamedTuple):
    """What a store knows of some identities."""

    rows: dict[bytes, int]
    """Identity → row, of those that are known."""
    skips: bool
    """Something is skipped for good in the job: whether a new row is, an arrival tells."""
