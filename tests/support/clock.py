"""A clock that moves when the test says so, and an engine whose state the test sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

from scrapy import Request
from twisted.internet.defer import Deferred


class ManualTimer:
    """A call that is due at a time of the clock."""

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualWaiter:
    def __init__(self) -> None:
        self._deferred: Deferred[Any] = Deferred()

    def set(self, value: Any) -> None:
        if not self._deferred.called:
            self._deferred.callback(value)

    async def wait(self) -> Any:
        return await self._deferred


class ManualClock:
    """See ``ports.clock.Clock``. Both times are ``now``; a coroutine runs to its first wait."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now
        self.timers: list[ManualTimer] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> ManualTimer:
        timer = ManualTimer(self.now + seconds, lambda: call(*values))
        self.timers.append(timer)
        return timer

    def waiter(self) -> ManualWaiter:
        return ManualWaiter()

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        Deferred.fromCoroutine(coroutine)

    def post(self, call: Callable[..., object], *values: Any) -> None:
        call(*values)

    def move(self, seconds: float) -> None:
        """Let time pass, and call what is due by then, in order of the due times."""
        self.now += seconds
        while due := [timer for timer in self.timers if timer.due <= self.now]:
            timer = min(due, key=lambda timer: timer.due)
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.call()


@dataclass
class StubRoom:
    """See ``ports.engine.Room``."""

    total: int = 16
    by_slot: dict[str, int] = field(default_factory=dict)
    """Of slots with active downloads."""
    others: int = 8
    """Of each other slot."""
    delays: dict[str, float] = field(default_factory=dict)

    def of(self, slot: str) -> int:
        return self.by_slot.get(slot, self.others)

    def delay_seconds(self, slot: str) -> float:
        return self.delays.get(slot, 0.0)

    @property
    def active(self) -> Collection[str]:
        return self.by_slot


@dataclass
class StubEngine:
    """See ``ports.engine.Engine``."""

    idle: bool = True
    closing: bool = False
    resting: bool = False
    active: dict[str, int] = field(default_factory=dict)
    sendable: StubRoom = field(default_factory=StubRoom)
    woken: int = 0
    closed: list[str] = field(default_factory=list)
    queued: list[Any] = field(default_factory=list)
    """Rows whose requests wait in the downloader's queues."""
    held_back: list[Any] = field(default_factory=list)
    """Those of them that were taken out."""
    queues_sent: int = 0
    queues_dropped: int = 0

    def wake(self) -> None:
        self.woken += 1

    def close_spider(self, reason: str) -> None:
        self.closed.append(reason)

    def is_idle(self) -> bool:
        return self.idle

    def active_downloads(self, slot: str) -> int:
        return self.active.get(slot, 0)

    def is_resting(self, slot: str) -> bool:
        return self.resting

    def room(self) -> StubRoom:
        return self.sendable

    def slot_key(self, request: Request) -> str:
        return request.url.split("/")[2]

    def hold_back(self, is_meant: Callable[[Any], bool]) -> None:
        self.held_back += [row for row in self.queued if is_meant(row)]

    def send_queued(self) -> None:
        self.queues_sent += 1

    def drop_queued(self) -> None:
        self.queues_dropped += 1
