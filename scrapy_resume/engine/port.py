"""What the rest of the package asks of Scrapy's engine and downloader.

Private parts that are read here, and verified by ``private_api`` when the spider opens:

- ``engine._slot``: ``nextcall`` has the engine ask the scheduler, ``closing`` is set while the
  spider closes.
- ``engine.downloader.slots``: what waits in a slot's ``queue`` has not been sent yet; there is a
  ``latercall`` from each request that is sent to the end of the slot's delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.utils.defer import deferred_from_coro

from scrapy_resume.errors import HeldBackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.frontier.row import Row


class EnginePort:
    """See ``ports.engine.Engine``."""

    def __init__(self) -> None:
        self._engine: ExecutionEngine | None = None
        self._downloader: Any = None
        self._row_of: Callable[[Request], Row | None] = lambda _: None

    def attach(self, engine: ExecutionEngine, row_of: Callable[[Request], Row | None]) -> None:
        """The engine is there. ``row_of`` gives the row of a request that the engine holds."""
        self._engine = engine
        self._downloader = engine.downloader
        self._row_of = row_of

    @property
    def _slot(self) -> Any:
        return None if self._engine is None else self._engine._slot

    def wake(self) -> None:
        """See ``Engine``."""
        slot = self._slot
        if slot is not None and slot.closing is None:
            slot.nextcall.schedule()

    @property
    def closing(self) -> bool:
        """See ``Engine``."""
        slot = self._slot
        return slot is not None and slot.closing is not None

    def close_spider(self, reason: str) -> None:
        """See ``Engine``."""
        if self._engine is not None and self._engine.spider is not None:
            deferred_from_coro(self._engine.close_spider_async(reason=reason))

    def is_idle(self) -> bool:
        """See ``Engine``."""
        return self._engine is None or not self._downloader.active

    def active_downloads(self, slot: str) -> int:
        """See ``Engine``."""
        found = self._downloader.slots.get(slot)
        return len(found.active) if found is not None else 0

    def is_resting(self, slot: str) -> bool:
        """See ``Engine``."""
        found = self._downloader.slots.get(slot)
        return found is not None and found.latercall is not None and not found.transferring

    def slot_key(self, request: Request) -> str:
        """See ``Engine``."""
        key: str = self._downloader.get_slot_key(request)
        return key

    def hold_back(self, is_meant: Callable[[Row], bool]) -> None:
        """See ``Engine``. This package's downloader middleware is the first to see the error."""
        if self._engine is None:
            return
        for slot in self._downloader.slots.values():
            queued = [
                (request, waiter)
                for request, waiter in slot.queue
                if (row := self._row_of(request)) is not None
                and is_meant(row)
                and not request.meta.get("dont_retry", False)
            ]
            for request, waiter in queued:
                slot.queue.remove((request, waiter))
                waiter.errback(HeldBackError(f"{request} waits for its host"))
