"""Tells the handlers of ``scrapy_resume.signals`` what the store has kept, in order.

One event after another: the handlers of an event have ended, or failed, when the next one is
sent. When those of a commit were told, the store hears of it with a later batch, and forgets
them; what was not told before a death is told by the next run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydispatch import dispatcher  # type: ignore[import-untyped]

from scrapy_resume.signals import BY_NAME
from scrapy_resume.store.contract import EventNote

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from scrapy_resume.model import Counts, JobKey
    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.tracking.tracker import Tracker

BACKLOG: Final = 500
"""Events waiting for handlers at which no more requests are handed out for now."""

HELD_FOR: Final = "events wait for their handlers"

COMMIT: Final = "commit_done"


class _Waiting(NamedTuple):
    job: str
    note: EventNote
    told: Callable[[int], object]


class SignalSender:
    """What is to be told, and what was."""

    def __init__(self, crawler: Crawler, job: JobKey, tracker: Tracker, clock: Clock) -> None:
        self._crawler = crawler
        self._tracker = tracker
        self._clock = clock
        self._job = str(job)
        self._queue: deque[_Waiting] = deque()
        self._size = 0
        """Events in the queue."""
        self._telling = False
        self._ended: list[Waiter[None]] = []
        self._told: list[int] = []
        self._stopped = False

    def wanted(self) -> frozenset[str]:
        """The events that somebody listens to now."""
        sender = self._crawler.signals.sender
        # Asked with every commit: signals that nobody ever connected to are passed over fast.
        connections = dispatcher.connections
        places = [connections.get(id(sender), ()), connections.get(id(dispatcher.Any), ())]
        return frozenset(
            name
            for name, signal in BY_NAME.items()
            if any(signal in place or dispatcher.Any in place for place in places)
            and any(dispatcher.liveReceivers(dispatcher.getAllReceivers(sender, signal)))
        )

    def take_told(self) -> list[int]:
        """Ids of what was told since the last time: the store may forget them."""
        told, self._told = self._told, []
        return told

    def tell(self, notes: Iterable[EventNote]) -> None:
        """Tell handlers in order."""
        for note in notes:
            self._add(_Waiting(self._job, note, self._told_own))

    def tell_of(
        self, job: JobKey, notes: Iterable[EventNote], told: Callable[[int], object]
    ) -> None:
        """The same, of another job; ``told`` is called with the id of each note."""
        for note in notes:
            self._add(_Waiting(str(job), note, told))

    def _told_own(self, note: int) -> None:
        if note:
            self._told.append(note)

    def _add(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._size += len(waiting.note.events)
        if not self._telling and not self._stopped:
            self._telling = True
            self._clock.spawn(self._tell_all())
        if self._size > BACKLOG:
            self._tracker.hold(HELD_FOR, True)

    def commit_done(self, counts: Counts) -> None:
        """A commit was kept. (Told to those who listen now: it is not repeated after a death.)"""
        states = ("pending", "leased", "done", "failed", "parked", "ignored", "delayed")
        event: dict[str, Any] = {
            "event": COMMIT,
            "requests": {state: getattr(counts, state) for state in states},
            "items": {
                "stored": counts.items_stored,
                "dropped": counts.items_dropped,
                "failed": counts.items_failed,
            },
        }
        self.tell([EventNote(0, [event])])

    async def _tell_all(self) -> None:
        while self._queue and not self._stopped:
            job, note, told = self._queue[0]
            for event in note.events:
                await self._send(job, event)
            if self._stopped:
                return
            self._queue.popleft()
            self._size -= len(note.events)
            told(note.id)
            if self._size <= BACKLOG // 2:
                self._tracker.hold(HELD_FOR, False)
        self._telling = False
        ended, self._ended = self._ended, []
        for waiter in ended:
            waiter.set(None)

    async def _send(self, job: str, event: dict[str, Any]) -> None:
        signal = BY_NAME.get(event["event"])
        if signal is None:  # a newer version kept it
            return
        details = {name: value for name, value in event.items() if name != "event"}
        await self._crawler.signals.send_catch_log_async(
            signal, spider=self._crawler.spider, job=job, **details
        )

    async def finish(self, timeout_seconds: float) -> None:
        """Wait until all was told, at most so long."""
        if not self._telling:
            return
        waiter: Waiter[None] = self._clock.waiter()
        self._ended.append(waiter)
        timer = self._clock.call_later(timeout_seconds, waiter.set, None)
        await waiter.wait()
        timer.cancel()

    def stop(self) -> None:
        """Tell nothing more: what was not told is told by the next run."""
        self._stopped = True
