"""Batches on their way to the store: when they go, one at a time, and how many may wait.

A batch goes out after the commit interval, at once when it has grown large, and in the
next turn of the event loop when somebody waits for its answer. While one is in the air
the next is collected; so the store always holds a prefix of what happened.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from scrapy_resume.errors import ResumeError
from scrapy_resume.store.contract import Batch

if TYPE_CHECKING:
    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.errors import StoreUnavailableError
    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.store.contract import Closing, Committed, JobStore

logger = logging.getLogger("scrapy_resume")

BATCH_SIZE: Final = 500
"""Things noted that send a batch before its time: a commit of them takes about 10 ms."""

BACKLOG_LIMIT: Final = 2_000
"""Things noted and not yet committed at which ``start()`` and callbacks wait for room."""

LONGEST_INTERVAL_SECONDS: Final = 1.0
"""Commits never get rarer than that, however dear the state beside them is to encode."""

SNAPSHOT_SHARE: Final = 20
"""The interval is at least so many times what encoding the state beside a batch takes."""


class CommitParticipant(Protocol):
    """Who fills the batches and reads the answers."""

    def complete(self, batch: Batch) -> None:
        """Add what belongs to a batch that is about to go: wishes, state."""

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""

    def store_is_out(self) -> None:
        """The store was tried in vain; it is tried again."""

    def gave_up(self, error: Exception) -> None:
        """The store will take nothing any more."""

    def kept_last_words(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """The end of the run is kept, and the batch before it: ``None``: that was given up.

        Called on the store thread.
        """


class Committer:
    """The batch that is being collected, and the one in the air."""

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
        """Nothing is accepted any more."""
        self.out_since: float | None = None
        """When the store stopped answering, on the monotonic clock; ``None``: it answers."""
        self._job = job
        self._thread = thread
        self._participant = participant
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._snapshot_seconds = 0.0
        self._size = 0
        self._in_air: Batch | None = None
        self._in_air_size = 0
        self._again = False
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._due = 0.0
        """When the batch that is being collected is to go."""
        self._waiters: list[Waiter[None]] = []
        self._keeping: list[tuple[int, Waiter[bool]]] = []
        self.in_touch_at = self._clock.monotonic()
        """When the last batch was sent that the store has answered."""
        self._sent_at = 0.0
        self.sent = 0
        """Batches sent so far; the one being collected will be number ``sent + 1``."""
        self.received = 0
        """Batches that were answered so far."""
        self._kept = 0
        """The same, as the store's thread knows it: the answer may still be on its way."""

    @property
    def idle(self) -> bool:
        """Nothing is collected, nothing is in the air."""
        return not self._size and self._in_air is None

    def note(self) -> Batch:
        """Something is about to be added to the batch that is returned.

        A busy event loop calls its timers late, so the time is looked at here too.
        """
        now = self._clock.monotonic()
        if not self._size:
            self._due = now + self._pause()
        elif now >= self._due and self._in_air is None:
            self._send()
            self._due = now + self._pause()
        self._size += 1
        if self._size >= BATCH_SIZE:
            self.hurry()
        elif self._timer is None and self._in_air is None:
            self._wake_in(self._due - now)
        return self.batch

    def _pause(self) -> float:
        wanted = max(self._interval_seconds, SNAPSHOT_SHARE * self._snapshot_seconds)
        return max(self._interval_seconds, min(wanted, LONGEST_INTERVAL_SECONDS))

    def hurry(self) -> None:
        """Send the batch in the next turn of the event loop, even if it has only wishes."""
        if self._in_air is not None:
            self._again = True
        elif self._timer is None:
            self._wake_in(0)
        elif self._timer_due > self._clock.monotonic():
            self._timer.cancel()
            self._wake_in(0)

    def _wake_in(self, delay_seconds: float) -> None:
        self._timer_due = self._clock.monotonic() + delay_seconds
        self._timer = self._clock.call_later(delay_seconds, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_air is not None or self.sealed:
            return
        batch = self.batch
        began = time.perf_counter()
        try:
            self._participant.complete(batch)
        except ResumeError as error:
            self.fail(error)
            return
        self._snapshot_seconds = time.perf_counter() - began
        self.batch = Batch(next_id=batch.next_id)
        self._in_air, self._in_air_size = batch, self._size
        self._size = 0
        self._again = False
        self.sent += 1
        self._sent_at = self._clock.monotonic()
        self._thread.submit(
            lambda: self._commit(batch), self._answered, self.fail, self._store_is_out
        )

    def _commit(self, batch: Batch) -> Committed:
        answer = self._job.commit(batch)
        self._kept += 1
        return answer

    def _answered(self, answer: Committed) -> None:
        batch, self._in_air = self._in_air, None
        assert batch is not None
        self.received += 1
        self.in_touch_at = self._sent_at
        if self.out_since is not None:
            logger.info(
                "The store answers again, after %.1f s", self._clock.monotonic() - self.out_since
            )
            self.out_since = None
        self._participant.answered(batch, answer)
        self._tell_kept()
        if self._again or self._size >= BATCH_SIZE or (self._keeping and self._size):
            self._send()
        elif self._size and self._timer is None:
            self._wake_in(max(0.0, self._due - self._clock.monotonic()))
        if self._size + self._in_air_size_now() < BACKLOG_LIMIT // 2:
            _fire(self._waiters)

    def _in_air_size_now(self) -> int:
        return self._in_air_size if self._in_air is not None else 0

    def fail(self, error: Exception) -> None:
        """Nothing more can be written, for that reason."""
        self._in_air = None
        self.seal()
        self._participant.gave_up(error)

    def _store_is_out(self, error: StoreUnavailableError) -> None:
        self._participant.store_is_out()
        if self.out_since is None:
            self.out_since = self._clock.monotonic()
            logger.warning("%s. The crawl waits for the store, and goes on when it answers.", error)

    @property
    def full(self) -> bool:
        """So much is waiting that whoever can wait should."""
        return self._size + self._in_air_size_now() >= BACKLOG_LIMIT and not self.sealed

    async def room(self) -> None:
        """Wait until less is waiting."""
        while self.full:
            waiter: Waiter[None] = self._clock.waiter()
            self._waiters.append(waiter)
            self.hurry()
            await waiter.wait()

    async def kept(self, timeout_seconds: float | None = None) -> bool:
        """Wait until all that was noted so far is committed, or so long. Returns whether it is.

        What is noted meanwhile is not waited for.
        """
        number = self.sent + 1 if self._size else self.sent
        if self.sealed or self.received >= number:
            return not self.sealed
        waiter: Waiter[bool] = self._clock.waiter()
        self._keeping.append((number, waiter))
        if self._size:
            self.hurry()
        if timeout_seconds is None:
            return await waiter.wait()
        if self.out_since is not None:
            logger.info("Closing waits up to %g s for the store", timeout_seconds)
        timer = self._clock.call_later(timeout_seconds, self._stop_keeping, waiter)
        kept = await waiter.wait()
        timer.cancel()
        return kept

    def _stop_keeping(self, waiter: Waiter[bool]) -> None:
        self._keeping = [wait for wait in self._keeping if wait[1] is not waiter]
        waiter.set(False)

    def _tell_kept(self) -> None:
        kept = [waiter for number, waiter in self._keeping if number <= self.received]
        self._keeping = [wait for wait in self._keeping if wait[0] > self.received]
        for waiter in kept:
            waiter.set(True)

    def seal(self) -> None:
        """Accept nothing any more. What waits for room or for the end goes on."""
        self.sealed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _fire(self._waiters)
        keeping, self._keeping = self._keeping, []
        for _, waiter in keeping:
            waiter.set(False)

    def last_words(self, closing: Closing) -> None:
        """Send what is collected and give the job up, without waiting for an answer.

        For a shutdown that nobody may hold up: what is committed is committed.
        """
        batch = self.batch
        if not self.sealed and self._size:
            self._participant.complete(batch)
        self.seal()
        self._thread.give_up_soon()
        self._thread.submit(lambda: self._finish(batch, closing), _ignore, _log_error, _log_error)
        self._thread.stop()

    def _finish(self, batch: Batch, closing: Closing) -> None:
        # The store holds a prefix of what happened: nothing follows a batch that was given up.
        answer = self._job.commit(batch) if self._kept == self.sent else None
        status = self._job.close(closing)
        self._participant.kept_last_words(batch, answer, status, closing.reason)


def _fire(waiters: list[Waiter[None]]) -> None:
    fired = waiters[:]
    waiters.clear()
    for waiter in fired:
        waiter.set(None)


def _ignore(_: object) -> None:
    """An answer that nobody waits for."""


def _log_error(error: Exception) -> None:
    logger.warning("The job was given up without its last words: %s", error)
