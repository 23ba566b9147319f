"""Sends the signals of ``scrapy_resume.signals`` for the events that the store has committed.

Events are sent in order, one at a time: the handlers of an event have ended, or failed, before
the next event is sent. A later batch reports the delivered notes to the store, which deletes
them. Notes that were not delivered before the process died are sent by the next run.
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
"""With more unsent events than this no request is handed out until half of them are sent."""

HOLD_REASON: Final = "events wait for their handlers"

COMMIT: Final = "commit_done"

RESERVED: Final = frozenset({"event", "signal", "sender", "spider", "job", "dont_log"})
"""Names in an event that are no details of it."""


class _QueuedNote(NamedTuple):
    job: str
    note: EventNote
    on_delivered: Callable[[int], object]


class SignalSender:
    """The queue of events that are to be sent, and the ids of the notes that were delivered."""

    def __init__(self, crawler: Crawler, job: JobKey, tracker: Tracker, clock: Clock) -> None:
        self._crawler = crawler
        self._tracker = tracker
        self._clock = clock
        self._job = str(job)
        self._queue: deque[_QueuedNote] = deque()
        self._size = 0
        """Events in the queue."""
        self._sending = False
        self._finish_waiters: list[Waiter[None]] = []
        self._delivered: list[int] = []
        self._stopped = False

    def wanted(self) -> frozenset[str]:
        """The names of the events for which a handler is connected now."""
        sender = self._crawler.signals.sender
        # Called with every commit: a signal that no handler ever connected to costs one look-up.
        connections = dispatcher.connections
        places = [connections.get(id(sender), ()), connections.get(id(dispatcher.Any), ())]
        return frozenset(
            name
            for name, signal in BY_NAME.items()
            if any(signal in place or dispatcher.Any in place for place in places)
            and any(dispatcher.liveReceivers(dispatcher.getAllReceivers(sender, signal)))
        )

    def take_delivered(self) -> list[int]:
        """Ids of the notes that were delivered since the last call: the store may delete them."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def send(self, notes: Iterable[EventNote]) -> None:
        """Queue notes of this run's job. Handlers get their events in order."""
        for note in notes:
            self._add(_QueuedNote(self._job, note, self._note_delivered))

    def send_for_job(
        self, job: JobKey, notes: Iterable[EventNote], on_delivered: Callable[[int], object]
    ) -> None:
        """Queue notes of another job. ``on_delivered`` is called with the id of each note."""
        for note in notes:
            self._add(_QueuedNote(str(job), note, on_delivered))

    def _note_delivered(self, note: int) -> None:
        if note:
            self._delivered.append(note)

    def _add(self, queued: _QueuedNote) -> None:
        self._queue.append(queued)
        self._size += len(queued.note.events)
        if not self._sending and not self._stopped:
            self._sending = True
            self._clock.spawn(self._send_queue())
        if self._size > BACKLOG:
            self._tracker.hold_dispatch(HOLD_REASON)

    def commit_done(self, counts: Counts) -> None:
        """Queue ``commit_done``. It is not stored, so it is not sent again after a crash."""
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
        self.send([EventNote(0, [event])])

    async def _send_queue(self) -> None:
        while self._queue and not self._stopped:
            job, note, on_delivered = self._queue[0]
            for event in note.events:
                await send_event(self._crawler, job, event)
            if self._stopped:
                return
            self._queue.popleft()
            self._size -= len(note.events)
            on_delivered(note.id)
            if self._size <= BACKLOG // 2:
                self._tracker.resume_dispatch(HOLD_REASON)
        self._sending = False
        waiters, self._finish_waiters = self._finish_waiters, []
        for waiter in waiters:
            waiter.set(None)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait until the queue is empty, at most ``timeout_seconds``."""
        if not self._sending:
            return
        waiter: Waiter[None] = self._clock.waiter()
        self._finish_waiters.append(waiter)
        timer = self._clock.call_later(timeout_seconds, waiter.set, None)
        await waiter.wait()
        timer.cancel()

    def stop(self) -> None:
        """Send no further event. The next run sends the notes that were not delivered."""
        self._stopped = True


async def send_event(crawler: Crawler, job: str, event: dict[str, Any]) -> None:
    """Send the signal of one event, and wait until its handlers have ended."""
    signal = BY_NAME.get(event["event"])
    if signal is None:  # it is of no signal, or a newer version of the package has stored it
        return
    details = {name: value for name, value in event.items() if name not in RESERVED}
    await crawler.signals.send_catch_log_async(signal, spider=crawler.spider, job=job, **details)
