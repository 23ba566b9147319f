"""How a run ends: in good order, by force, or because its store is out."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from scrapy_resume.engine.process_end import ProcessEnd
from scrapy_resume.errors import (
    LeaseLostError,
    ResumeError,
    StateNotRecordableError,
    StoreUnavailableError,
)
from scrapy_resume.ports.clock import pause
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Closing

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey
    from scrapy_resume.ports.clock import Timer, Waiter
    from scrapy_resume.run.assembly import CrawlPlan, Parts

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

LAST_SECONDS: Final = 0.2
"""Between two times that a run which is about to close asks whether it is the last one."""

LAST_SHARE: Final = 1.25
"""Of RESUME_ORPHAN_TIMEOUT: after so long each of the others was heard, or is dead."""

LAST_WORDS_SECONDS: Final = 5.0
"""A forced shutdown waits at most so long for what is committed last."""


STATUS_OF_REASON: Final = {
    "finished": "completed",
    "cancelled": "cancelled",
    "start_error": "failed",
    "store_error": "failed",
    "state_error": "failed",
}
"""Any other close reason pauses the job."""


class Settled(NamedTuple):
    """What a run has come to before its end is written."""

    drained: bool
    """All that happened is committed."""
    last: bool
    """No other worker is on the job."""
    feeds_whole: bool
    """Each feed that is this run's to deliver is delivered."""


class Timed(Protocol):
    """A part that does things as time passes."""

    def end(self) -> None:
        """The run is about to end: do nothing any more."""


class Shutdown:
    """The end of one run, and what it has to wait for."""

    def __init__(self, plan: CrawlPlan, parts: Parts, timed: Sequence[Timed]) -> None:
        """``timed``: parts that do things as time passes."""
        self._crawler = plan.crawler
        self._settings = plan.settings
        self._job = plan.job
        self._tracker = parts.tracker
        self._committer = parts.committer
        self._thread = parts.thread
        self._engine = parts.engine
        self._state = parts.state
        self._listeners = parts.listeners
        self._custom_stats = parts.custom_stats
        self._signal_sender = parts.signal_sender
        self._clock = parts.clock
        self._timed = timed
        self.closed = False
        """The job was given up, in good order or not."""
        self.trouble: Exception | None = None
        """Why the store took nothing any more; ``None``: it did to the end."""
        self._drain_failed = False
        """The store did not answer in time when the spider closed."""
        self._patience: Timer | None = None
        self._process_end = ProcessEnd(self._reactor_stops, self._at_exit)
        self._abandon = weakref.finalize(plan.crawler, plan.job.abandon)
        self._abandon.atexit = False

    def watch(self) -> None:
        """From here on a sudden end of the process is noticed."""
        self._process_end.watch()

    def stop_timers(self) -> None:
        """Nothing is done any more because time passes."""
        for part in self._timed:
            part.end()

    def forget(self, key: JobKey, event: int) -> Waiter[None]:
        """An event was told of a job that this run does not own (any more). The waiter is set in
        any case."""
        store = open_location(self._settings.store)
        ended: Waiter[None] = self._clock.waiter()

        def failed(error: Exception) -> None:
            logger.warning("Handlers will be told of an event of %s again: %s", key, error)
            ended.set(None)

        self._thread.submit(
            lambda: store.delete_events(key, [event]), ended.set, failed, _log_unavailable
        )
        return ended

    async def settle(self) -> Settled:
        """Commit what is left, and deliver the feeds."""
        drained = await self.drain()
        last = drained and await self.is_last()
        return Settled(drained, last, drained and await self.close_feeds(last=last))

    async def is_last(self) -> bool:
        """Whether no other worker is on the job: the last one delivers the feeds.

        When nothing is left of the job, waits until each of the others has found that out too,
        or is known to be dead; no longer than that takes.
        """
        if not self._job.session.sharing.shared:
            return True
        patience_seconds = LAST_SHARE * self._settings.orphan_timeout_seconds
        deadline = self._clock.monotonic() + patience_seconds
        while (last := await self._asked(self._job.is_last)) is None:
            if self.trouble is not None or self.closed or self._clock.monotonic() > deadline:
                break
            await pause(self._clock, LAST_SECONDS)
        return bool(last)

    async def _asked(self, call: Callable[[], T]) -> T | None:
        """What the end of the run asks of the store, once as long as RESUME_CLOSE_TIMEOUT.

        ``None``: there was no answer.
        """
        answer: Waiter[T | None] = self._clock.waiter()

        def failed(error: Exception) -> None:
            if self.trouble is None:
                self.trouble = error
                logger.error("The end of the run could not be written: %s", error)
            answer.set(None)

        self._thread.submit(call, answer.set, failed, _log_unavailable)
        timeout_seconds = self._settings.close_timeout_seconds
        timer = self._clock.call_later(timeout_seconds, self._thread.give_up_soon)
        value = await answer.wait()
        timer.cancel()
        return value

    async def close_feeds(self, *, last: bool) -> bool:
        """Deliver the feeds, with all that is committed. Returns whether each of them is whole.

        Where others go on with the job, it is left to them.
        """
        if self._listeners.feeds is None:
            return True
        deliver = self._listeners.feeds.close if last else self._listeners.feeds.leave
        whole = await deliver(self._settings.close_timeout_seconds)
        return await self.drain() and whole

    async def drain(self) -> bool:
        """Wait until all is committed, once as long as RESUME_CLOSE_TIMEOUT.

        Returns whether it is. The state beside the items is written too, as it is now.
        """
        if self._drain_failed or self._committer.sealed:
            return False
        with_state = self._committer.begin_entry()
        try:
            self._state.add_to(with_state)
        except StateNotRecordableError as error:
            self._committer.fail(error)
            return False
        self._drain_failed = not await self._committer.wait_committed(
            self._settings.close_timeout_seconds
        )
        if self._drain_failed:
            self._thread.give_up_soon()
        return not self._drain_failed

    def limit_closing(self) -> None:
        """The store is out. A spider that closes then may wait for callbacks that wait for
        room, long before ``drain``: they get it when the store is given up."""
        if self._patience is None and self._engine.closing:
            timeout_seconds = self._settings.close_timeout_seconds
            self._patience = self._clock.call_later(timeout_seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self._committer.unavailable_since is not None:
            self._thread.give_up_soon()

    def store_failed(self, error: Exception) -> None:
        """The store takes nothing any more: close the spider."""
        self.trouble = error
        logger.error(
            "%s. The spider is closed; what was not committed is fetched again by the next run.",
            error,
            exc_info=None if isinstance(error, ResumeError) else error,
        )
        self._engine.close_spider(_reason_of(error))

    def forced_shutdown(self) -> None:
        """The process is being torn down: keep what is whole, and let go of the job."""
        if self.closed or not self._tracker.freeze():
            return
        self.closed = True
        self.stop_timers()
        self._abandon.detach()
        self._listeners.abandon_feeds()
        self._signal_sender.stop()
        self._committer.send_last_batch(self._closing("paused", "shutdown", announce=False))

    def _at_exit(self) -> None:
        """The interpreter ends, and nobody has closed the job: there is no reactor to tell."""
        self.forced_shutdown()
        self._thread.join(LAST_WORDS_SECONDS)

    def _reactor_stops(self, ended: Callable[[], None]) -> bool:
        """As ``forced_shutdown``; calls ``ended`` when the last words are kept. False: nothing was
        to be done."""
        if self.closed:
            return False
        self.forced_shutdown()
        self._thread.when_stopped(ended)
        self._clock.call_later(LAST_WORDS_SECONDS, ended)
        return True

    def _status_of(self, reason: str, settled: Settled) -> str:
        if self.trouble is not None or not settled.drained:
            return "failed"
        status = STATUS_OF_REASON.get(reason, "paused")
        if status == "completed" and not (self._tracker.start.exhausted and settled.feeds_whole):
            # Somebody closed the spider with that reason: start() may have had more to give. Or a
            # feed is not delivered: run again, the job has nothing to fetch, and delivers it.
            return "paused"
        return status

    async def close(self, reason: str, settled: Settled) -> str | None:
        """Write the end of the run, by the close reason. Returns the status that was kept.

        ``None``: it could not be written; the next run recovers the job.
        """
        status = self._status_of(reason, settled)
        feeds = self._listeners.feeds
        if status == "completed" and settled.last and feeds is not None:
            feeds.let_go()
            if await self.drain():
                feeds.forget()
        return await self._close(status, reason)

    async def _close(self, status: str, reason: str) -> str | None:
        """Write the end of the run. Returns the status that was kept.

        ``None``: it could not be written; the next run recovers the job.
        """
        if self.closed:
            return None
        self.closed = True
        self.stop_timers()
        self._committer.seal()
        self._abandon.detach()
        self._process_end.unwatch()
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(self.trouble, LeaseLostError):
            self._thread.stop()
            self._job.abandon()
            self._listeners.ended(None, reason, self._tracker.counts)
            return None
        await self._signal_sender.finish(self._settings.close_timeout_seconds)
        closing = self._closing(
            status, reason, announce="job_closed" in self._signal_sender.wanted()
        )
        kept = await self._asked(lambda: self._job.close(closing))
        if kept is not None and (note := self._job.closed) is not None:
            self._signal_sender.tell([note])
            await self._signal_sender.finish(self._settings.close_timeout_seconds)
            if note.id in self._signal_sender.take_told():
                self._thread.give_up_soon()
                await self.forget(self._job.session.job, note.id).wait()
        self._signal_sender.stop()
        self._thread.stop()
        self._listeners.ended(kept, reason, self._tracker.counts)
        return kept

    def _closing(self, status: str, reason: str, *, announce: bool) -> Closing:
        return Closing(
            status,
            reason,
            self._stats(),
            self._custom_stats.changed_custom(),
            self._signal_sender.take_told(),
            announce,
        )

    def _stats(self) -> dict[str, object]:
        stats = self._crawler.stats
        return dict(stats.get_stats()) if stats is not None else {}


def _log_unavailable(error: StoreUnavailableError) -> None:
    logger.warning("%s", error)


def _reason_of(error: Exception) -> str:
    if isinstance(error, StateNotRecordableError):
        return "state_error"
    return "store_error"
