"""The interface of the rest of the package to Scrapy's engine and downloader.

These private parts are used; ``private_api`` verifies them when the spider opens:

- ``engine._slot``: ``nextcall`` schedules a call in which the engine asks for requests; ``closing``
  is not ``None`` while the spider closes.
- ``engine.downloader.slots``: requests in a slot's ``queue`` have not been sent yet; those in
  ``transferring`` are being downloaded; ``latercall`` is set from the sending of a request to the
  end of the slot's delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.utils.defer import deferred_from_coro

from scrapy_resume.engine.idle import IdleWatch
from scrapy_resume.errors import HeldBackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.frontier.row import Row


class EnginePort:
    """Implements ``ports.engine.Engine``."""

    def __init__(self) -> None:
        self._engine: ExecutionEngine | None = None
        self._downloader: Any = None
        self._row_of: Callable[[Request], Row | None] = lambda _: None
        self._idle: IdleWatch | None = None

    def attach(self, engine: ExecutionEngine, row_of: Callable[[Request], Row | None]) -> None:
        """Connect the port to the engine. ``row_of`` returns the row of a request that the engine
        holds, or ``None``."""
        self._engine = engine
        self._downloader = engine.downloader
        self._row_of = row_of
        self._idle = IdleWatch(engine)

    @property
    def _engine_slot(self) -> Any:
        return None if self._engine is None else self._engine._slot

    def wake(self) -> None:
        """See ``Engine``."""
        engine_slot = self._engine_slot
        if engine_slot is not None and engine_slot.closing is None:
            engine_slot.nextcall.schedule()

    @property
    def closing(self) -> bool:
        """See ``Engine``."""
        engine_slot = self._engine_slot
        return engine_slot is not None and engine_slot.closing is not None

    def close_spider(self, reason: str) -> None:
        """See ``Engine``."""
        if self._engine is not None and self._engine.spider is not None:
            deferred_from_coro(self._engine.close_spider_async(reason=reason))

    @property
    def closes_by_itself(self) -> bool:
        """Whether the spider would have been closed when nothing was left to do: no handler of
        ``spider_idle`` raises ``DontCloseSpider``, as far as that is known."""
        return self._idle is not None and self._idle.closes_by_itself

    def is_idle(self) -> bool:
        """See ``Engine``."""
        return self._engine is None or not self._downloader.active

    def active_downloads(self, slot: str) -> int:
        """See ``Engine``."""
        download_slot = self._download_slot(slot)
        return len(download_slot.active) if download_slot is not None else 0

    def _download_slot(self, slot: str) -> Any:
        return None if self._downloader is None else self._downloader.slots.get(slot)

    def is_resting(self, slot: str) -> bool:
        """See ``Engine``."""
        download_slot = self._download_slot(slot)
        return (
            download_slot is not None
            and download_slot.latercall is not None
            and not download_slot.transferring
        )

    def slot_key(self, request: Request) -> str:
        """See ``Engine``."""
        key: str = "" if self._downloader is None else self._downloader.get_slot_key(request)
        return key

    def hold_back(self, is_meant: Callable[[Row], bool]) -> None:
        """See ``Engine``. The downloader middleware of this package handles the error."""
        if self._engine is None:
            return
        for download_slot in self._downloader.slots.values():
            queued = [
                (request, waiter)
                for request, waiter in download_slot.queue
                if (row := self._row_of(request)) is not None
                and is_meant(row)
                and not request.meta.get("dont_retry", False)
            ]
            for request, waiter in queued:
                download_slot.queue.remove((request, waiter))
                waiter.errback(HeldBackError(f"{request} waits for its host"))
