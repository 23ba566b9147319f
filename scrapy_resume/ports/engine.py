"""What the parts of a run ask of whoever carries requests out: in a crawl, Scrapy's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request


class Engine(Protocol):
    """The engine and its downloader. A *slot* is a download slot, by its key.

    Before the engine is there, nothing is active, and nobody needs to be woken.
    """

    def wake(self) -> None:
        """Have the engine ask for a request."""

    @property
    def closing(self) -> bool:
        """The engine closes the spider, and waits for the requests that it holds."""

    def close_spider(self, reason: str) -> None:
        """Have the engine close the spider; does not wait for it."""

    def is_idle(self) -> bool:
        """The downloader has nothing to do."""

    def active_downloads(self, slot: str) -> int:
        """How many downloads of a slot are active."""

    def is_resting(self, slot: str) -> bool:
        """Nothing of a slot is being downloaded, nor will be before its delay is over."""

    def slot_key(self, request: Request) -> str:
        """The slot that a request belongs to."""

    def hold_back(self, is_meant: Callable[[Any], bool]) -> None:
        """Take requests out of the downloader's queues that it has not sent yet: those whose row
        ``is_meant``. They end with ``HeldBackError``. Those without a row, or that are not to be
        retried, stay."""
