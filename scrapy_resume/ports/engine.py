"""What the parts of a run need from the engine that executes requests. In a crawl: Scrapy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy import Request


class Room(Protocol):
    """How many more requests the downloader would send at once, as of one moment.

    A request that would wait in the downloader's queue (for another one of its slot to end, or for
    the slot's delay) finds no room. Of a slot with a delay one may wait, to be sent when the delay
    is over.
    """

    @property
    def total(self) -> int:
        """Of all slots together. Zero or less: the downloader takes no more requests."""

    def of(self, slot: str) -> int:
        """Of one slot, whatever the others have; zero or less: none."""

    def delay_seconds(self, slot: str) -> float:
        """The slot's delay between two requests; 0: it has none."""

    @property
    def active(self) -> Collection[str]:
        """The slots that have active downloads."""


class Engine(Protocol):
    """The engine and its downloader. A *slot* is the key of a download slot.

    Until the engine exists, nothing is active and ``wake`` does nothing.
    """

    def wake(self) -> None:
        """Have the engine ask for the next request."""

    @property
    def closing(self) -> bool:
        """Whether the engine is closing the spider, and waits for the requests that it holds."""

    def close_spider(self, reason: str) -> None:
        """Have the engine close the spider, without waiting until it is closed."""

    def is_idle(self) -> bool:
        """Whether the downloader has no request."""

    def active_downloads(self, slot: str) -> int:
        """The number of active downloads of a slot."""

    def is_resting(self, slot: str) -> bool:
        """Whether a slot downloads nothing now, and nothing before its delay has passed."""

    def room(self) -> Room:
        """How many more requests would be sent at once."""

    def slot_key(self, request: Request) -> str:
        """The slot of a request."""

    def hold_back(self, is_meant: Callable[[Any], bool]) -> None:
        """Remove from the downloader's queues the unsent requests for whose row ``is_meant``
        returns true. They end with ``HeldBackError``. Requests without a row, and those that must
        not be retried (``dont_retry``), stay."""

    def send_queued(self) -> None:
        """Send what waits in the downloader's queues, as far as its slots allow it now."""

    def drop_queued(self) -> None:
        """Remove everything from the downloader's queues, unsent. It ends with
        ``HeldBackError``."""
