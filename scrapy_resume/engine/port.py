"""The interface of the rest of the package to Scrapy's engine and downloader.

These private parts are used; ``private_api`` verifies them when the spider opens:

- ``engine._slot``: ``nextcall`` schedules a call in which the engine asks for requests; ``closing``
  is not ``None`` while the spider closes.
- ``engine.downloader._process_queue`` sends what a slot's delay and concurrency allow now.
- ``engine.downloader.slots``: requests in a slot's ``queue`` have not been sent yet; those in
  ``transferring`` are being downloaded; ``latercall`` is set from the sending of a request to the
  end of the slot's delay; ``concurrency`` and ``delay`` are the slot's limits.
- ``engine.downloader.active``: all requests between their hand-out and the end of their download,
  also those that no slot has yet. ``total_concurrency`` limits them; ``domain_concurrency`` and
  ``per_slot_settings`` are the limits of slots that do not exist yet.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from scrapy.utils.defer import deferred_from_coro

from scrapy_resume.engine.idle import IdleWatch
from scrapy_resume.errors import HeldBackError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.engine import Room


UNLIMITED: Final = 1 << 30
"""The room where CONCURRENT_REQUESTS is 0."""


class DownloaderRoom:
    """Implements ``ports.engine.Room``."""

    def __init__(self, downloader: Any, *, has_delays: bool) -> None:
        self._downloader = downloader
        self._has_delays = has_delays
        self._active = Counter(map(downloader.get_slot_key, downloader.active))

    @property
    def total(self) -> int:
        """See ``Room``."""
        limit: int = self._downloader.total_concurrency
        return limit - len(self._downloader.active) if limit > 0 else UNLIMITED

    def of(self, slot: str) -> int:
        """See ``Room``."""
        download_slot = self._downloader.slots.get(slot)
        if download_slot is None:
            return self._default(slot) - self._active[slot]
        free: int = download_slot.concurrency - self._active[slot]
        if download_slot.delay:
            unsent = self._active[slot] - len(download_slot.transferring)
            return min(free, 1 - unsent)
        return free

    def _default(self, slot: str) -> int:
        downloader = self._downloader
        if self._has_delays:
            return 1
        settings = downloader.per_slot_settings.get(slot, {})
        by_address = getattr(downloader, "ip_concurrency", 0)
        return int(settings.get("concurrency", by_address or downloader.domain_concurrency))

    def delay_seconds(self, slot: str) -> float:
        """See ``Room``."""
        download_slot = self._downloader.slots.get(slot)
        return float(download_slot.delay) if download_slot is not None else 0.0

    @property
    def active(self) -> Collection[str]:
        """See ``Room``."""
        return self._active.keys()


class NoRoom:
    """Implements ``ports.engine.Room`` while there is no engine."""

    total = 0
    active: Collection[str] = ()

    def of(self, slot: str) -> int:
        """See ``Room``."""
        return 0

    def delay_seconds(self, slot: str) -> float:
        """See ``Room``."""
        return 0.0


class EnginePort:
    """Implements ``ports.engine.Engine``."""

    def __init__(self, *, has_delays: bool = False) -> None:
        """``has_delays``: some download slots have a delay, or may get one."""
        self._has_delays = has_delays
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

    def room(self) -> Room:
        """See ``Engine``."""
        if self._downloader is None:
            return NoRoom()
        return DownloaderRoom(self._downloader, has_delays=self._has_delays)

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

    def send_queued(self) -> None:
        """See ``Engine``."""
        for download_slot in self._download_slots():
            self._downloader._process_queue(download_slot)

    def drop_queued(self) -> None:
        """See ``Engine``."""
        for download_slot in self._download_slots():
            self.drop_queue(download_slot)

    def _download_slots(self) -> list[Any]:
        return [] if self._downloader is None else list(self._downloader.slots.values())

    def drop_queue(self, download_slot: Any) -> None:
        """Remove everything from the queue of one of the downloader's slots."""
        queued = list(download_slot.queue)
        download_slot.queue.clear()
        for request, waiter in queued:
            waiter.errback(HeldBackError(f"{request} is not sent: this run has ended"))
