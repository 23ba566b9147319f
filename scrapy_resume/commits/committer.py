"""Decides when batches are sent to the store, and applies backpressure when too much waits.

A batch is sent after the commit interval, as soon as it is large, or in the next turn of the event
loop when someone waits for its answer. Only one batch is in flight at a time, and the next one is
collected meanwhile. So the store always holds a prefix of what happened.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from scrapy_resume.errors import as_exception
from scrapy_resume.ports.clock import leaves_event_loop
from scrapy_resume.store.contract import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.errors import StoreUnavailableError
    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.store.contract import Closing, Committed, JobStore

logger = logging.getLogger("scrapy_resume")

BATCH_SIZE: Final = 500
"""Entries at which a batch is sent before the interval has passed. To commit so many takes about
10 ms."""

BACKLOG_LIMIT: Final = 2_000
"""Uncommitted entries at which backpressure begins: ``start()`` and callbacks wait."""

LONGEST_INTERVAL_SECONDS: Final = 1.0
"""The longest interval between commits, however long the spider's state takes to serialize (unless
the setting is longer)."""

SNAPSHOT_SHARE: Final = 20
"""The interval is at least so many times as long as it takes to complete a batch, most of which is
serializing the spider's state."""


class CommitParticipant(Protocol):
    """Completes batches before they are sent, and reads the answers.

    Whatever ``complete`` or ``answered`` raises ends the run: a batch or an answer of which a part
    was missed would be missing for good, in the frontier or in a feed.
    """

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to be sent: lease wishes, state. Raises ``ResumeError``."""

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is committed."""

    def store_unavailable(self) -> None:
        """A call of the store has failed, and will be repeated."""

    def store_failed(self, error: Exception) -> None:
        """Nothing more can be committed."""

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """The job is closed. ``answer`` is that to the last batch; ``None``: it was not committed.

        Called on the store thread.
        """


class Committer:
    """Holds the batch that is being collected, and the one in flight."""

    def __init__(
        self,
        job: JobStore,
        thread: StoreThread,
        participant: CommitParticipant,
        interval_seconds: float,
        clock: Clock,
    ) -> None:
        self.batch = Batch(next_id=job.session.ids.first)
        self.sealed = False
        """No more batches are sent."""
        self.unavailable_since: float | None = None
        """Since when the store is unavailable, on the monotonic clock; ``None``: it is
        available."""
        self._job = job
        self._thread = thread
        self._participant = participant
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._snapshot_seconds = 0.0
        self._size = 0
        self._undivided = False
        self._in_flight: Batch | None = None
        self._in_flight_size = 0
        self._send_next_at_once = False
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._due = 0.0
        """When the batch that is being collected is to be sent, on the monotonic clock."""
        self._room_waiters: list[Waiter[None]] = []
        self._commit_waiters: list[tuple[int, Waiter[bool]]] = []
        """(number of a batch, waiter for its commit)."""
        self.in_touch_at = self._clock.monotonic()
        """When the last answered batch was sent, on the monotonic clock."""
        self._sent_at = 0.0
        self.sent = 0
        """Number of batches sent; the one that is being collected will be number ``sent + 1``."""
        self.received = 0
        """Number of batches answered."""
        self._committed = 0
        """Number of batches committed. Written on the store thread, before the answer arrives."""

    @property
    def idle(self) -> bool:
        """Whether nothing is collected and nothing is in flight."""
        return not self._size and self._in_flight is None

    def begin_entry(self) -> Batch:
        """Count an entry, and return the batch that the caller must add it to.

        May send the batch collected so far: a busy event loop calls its timers late, so the time
        is checked here too.
        """
        now = self._clock.monotonic()
        if not self._size:
            self._due = now + self._pause()
        elif now >= self._due and self._in_flight is None and not self._undivided:
            self._send()
            self._due = now + self._pause()
        self._size += 1
        if self._size >= BATCH_SIZE:
            self.send_soon()
        elif self._timer is None and self._in_flight is None:
            self._wake_in(self._due - now)
        return self.batch

    @contextmanager
    def one_batch(self) -> Iterator[None]:
        """What is added within the block becomes part of one batch, one transaction."""
        outermost, self._undivided = not self._undivided, True
        try:
            yield
        finally:
            if outermost:
                self._undivided = False

    def _pause(self) -> float:
        wanted = max(self._interval_seconds, SNAPSHOT_SHARE * self._snapshot_seconds)
        return max(self._interval_seconds, min(wanted, LONGEST_INTERVAL_SECONDS))

    def send_soon(self) -> None:
        """Send the batch in the next turn of the event loop, even if it has no entries."""
        if self._in_flight is not None:
            self._send_next_at_once = True
        elif self._timer is None:
            self._wake_in(0)
        elif self._timer_due > self._clock.monotonic():
            self._timer.cancel()
            self._wake_in(0)

    def send_in_time(self) -> None:
        """Send a batch within the commit interval, even if it has no entries by then: what
        ``complete`` adds to it is waiting."""
        if self._timer is None and self._in_flight is None:
            self._wake_in(self._pause())

    def _wake_in(self, delay_seconds: float) -> None:
        if self.sealed:
            return
        self._timer_due = self._clock.monotonic() + delay_seconds
        self._timer = self._clock.call_later(delay_seconds, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_flight is not None or self.sealed:
            return
        batch = self.batch
        began = time.perf_counter()
        try:
            self._participant.complete(batch)
        except BaseException as error:  # of the user's codecs too, for values in spider.state
            if leaves_event_loop(error):
                raise
            self.fail(as_exception(error))
            return
        self._snapshot_seconds = time.perf_counter() - began
        self.batch = Batch(next_id=batch.next_id)
        self._in_flight, self._in_flight_size = batch, self._size
        self._size = 0
        self._send_next_at_once = False
        self.sent += 1
        self._sent_at = self._clock.monotonic()
        self._thread.submit(
            lambda: self._commit(batch), self._answered, self.fail, self._store_unavailable
        )

    def _commit(self, batch: Batch) -> Committed:
        answer = self._job.commit(batch)
        self._committed += 1
        return answer

    def _answered(self, answer: Committed) -> None:
        batch, self._in_flight = self._in_flight, None
        assert batch is not None
        self.received += 1
        self.in_touch_at = self._sent_at
        if self.unavailable_since is not None:
            logger.info(
                "The store answers again, after %.1f s",
                self._clock.monotonic() - self.unavailable_since,
            )
            self.unavailable_since = None
        try:
            self._participant.answered(batch, answer)
        except Exception as error:
            self.fail(error)
            return
        self._notify_committed()
        if (
            self._send_next_at_once
            or self._size >= BATCH_SIZE
            or (self._commit_waiters and self._size)
        ):
            self._send()
        elif self._size and self._timer is None:
            self._wake_in(max(0.0, self._due - self._clock.monotonic()))
        if self._size + self._in_flight_size_now() < BACKLOG_LIMIT // 2:
            _set_all(self._room_waiters)

    def _in_flight_size_now(self) -> int:
        return self._in_flight_size if self._in_flight is not None else 0

    def fail(self, error: Exception) -> None:
        """Stop committing, because of ``error``."""
        self._in_flight = None
        self.seal()
        self._participant.store_failed(error)

    def _store_unavailable(self, error: StoreUnavailableError) -> None:
        self._participant.store_unavailable()
        if self.unavailable_since is None:
            self.unavailable_since = self._clock.monotonic()
            logger.warning("%s. The crawl waits for the store, and goes on when it answers.", error)

    @property
    def full(self) -> bool:
        """Whether so much waits for the store that producers should wait (backpressure)."""
        return self._size + self._in_flight_size_now() >= BACKLOG_LIMIT and not self.sealed

    async def wait_for_room(self) -> None:
        """Wait while the committer is full."""
        while self.full:
            waiter: Waiter[None] = self._clock.waiter()
            self._room_waiters.append(waiter)
            self.send_soon()
            await waiter.wait()

    async def wait_committed(self, timeout_seconds: float | None = None) -> bool:
        """Wait until all entries so far are committed. Returns whether they are.

        Returns False after ``timeout_seconds`` (``None``: no limit), and when the committer is
        sealed. Entries that are added meanwhile are not waited for.
        """
        number = self.sent + 1 if self._size else self.sent
        if self.sealed or self.received >= number:
            return not self.sealed
        waiter: Waiter[bool] = self._clock.waiter()
        self._commit_waiters.append((number, waiter))
        if self._size:
            self.send_soon()
        if timeout_seconds is None:
            return await waiter.wait()
        if self.unavailable_since is not None:
            logger.info("Closing waits up to %g s for the store", timeout_seconds)
        timer = self._clock.call_later(timeout_seconds, self._time_out, waiter)
        committed = await waiter.wait()
        timer.cancel()
        return committed

    def _time_out(self, waiter: Waiter[bool]) -> None:
        self._commit_waiters = [wait for wait in self._commit_waiters if wait[1] is not waiter]
        waiter.set(False)

    def _notify_committed(self) -> None:
        committed = [waiter for number, waiter in self._commit_waiters if number <= self.received]
        self._commit_waiters = [wait for wait in self._commit_waiters if wait[0] > self.received]
        for waiter in committed:
            waiter.set(True)

    def seal(self) -> None:
        """Send no more batches, and let everyone go on who waits here."""
        self.sealed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _set_all(self._room_waiters)
        waiting, self._commit_waiters = self._commit_waiters, []
        for _, waiter in waiting:
            waiter.set(False)

    def send_last_batch(self, closing: Closing) -> None:
        """Send the collected batch and close the job, without waiting for the answer.

        For a forced shutdown, which must not be delayed. The answer goes to
        ``last_batch_committed``.
        """
        batch = self.batch
        # An empty batch says nothing, not even how many pages there were; and one that cannot be
        # completed any more lacks the state that its finishes need.
        completed = not self.sealed and bool(self._size)
        self.sealed = True  # what is added meanwhile sets no timer: the event loop may be closed
        if completed:
            try:
                self._participant.complete(batch)
            except Exception as error:
                completed = False
                logger.error("The last batch is not committed: %s", error, exc_info=error)
        self.seal()
        self._thread.give_up_soon()
        self._thread.submit(
            lambda: self._commit_and_close(batch, closing, completed=completed),
            _ignore,
            _log_error,
            _log_error,
        )
        self._thread.stop()

    def _commit_and_close(self, batch: Batch, closing: Closing, *, completed: bool) -> None:
        # The store must hold a prefix of what happened: if a batch before this one was not
        # committed, this one must not be either.
        committable = completed and self._committed == self.sent
        answer = self._job.commit(batch) if committable else None
        status = self._job.close(closing)
        self._participant.last_batch_committed(batch, answer, status, closing.reason)


def _set_all(waiters: list[Waiter[None]]) -> None:
    waiting = waiters[:]
    waiters.clear()
    for waiter in waiting:
        waiter.set(None)


def _ignore(_: object) -> None:
    """The participant has already been given the answer."""


def _log_error(error: Exception) -> None:
    logger.warning("The job could not be closed in the store; the next run recovers it: %s", error)
