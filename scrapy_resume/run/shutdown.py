"""The end of a run: a graceful shutdown, a forced one, or one after the store has failed."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from scrapy_resume.engine.process_end import ProcessEnd
from scrapy_resume.errors import (
    JobDeletedError,
    LeaseLostError,
    ResumeError,
    StateNotRecordableError,
    StoreUnavailableError,
    message_of,
)
from scrapy_resume.ports.clock import pause
from scrapy_resume.run.crawl_end import CrawlEnd
from scrapy_resume.run.worker_name import process_id
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Closing

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey
    from scrapy_resume.ports.clock import Timer, Waiter
    from scrapy_resume.run.assembly import CrawlPlan, Parts
    from scrapy_resume.run.job_error import JobErrors

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

LAST_WORKER_POLL_SECONDS: Final = 0.2
"""Interval at which a closing run asks the store whether another worker is on the job."""

LAST_WORKER_WAIT_SHARE: Final = 1.25
"""Share of RESUME_ORPHAN_TIMEOUT after which each other worker has answered, or is dead."""

FORCED_SHUTDOWN_SECONDS: Final = 5.0
"""How long a forced shutdown waits at most for its last commit."""


STATUS_OF_REASON: Final = {
    "finished": "completed",
    "cancelled": "cancelled",
    "start_error": "failed",
    "store_error": "failed",
    "state_error": "failed",
}
"""Close reason → status of the job. Any other close reason pauses the job, unless nothing of it is
open and the spider would have been closed soon by itself. A job that is ``completed`` here is
``paused`` all the same if the store has something open of it."""


class FinalState(NamedTuple):
    """The state of a run whose work has ended; the status of the job depends on it."""

    drained: bool
    """Everything that happened is committed."""
    last_worker: bool
    """No other worker is on the job."""
    feeds_delivered: bool
    """Each feed that this run has to deliver is delivered."""


class TimedPart(Protocol):
    """A part that has timers."""

    def end(self) -> None:
        """Cancel all timers, because the run is about to end."""


class Shutdown:
    """Ends one run.

    A graceful shutdown calls ``finish_work``, then ``close``. ``forced_shutdown`` replaces both if
    the process is about to end. Whichever comes first closes the job; the other does nothing.
    """

    def __init__(
        self, plan: CrawlPlan, parts: Parts, timed_parts: Sequence[TimedPart], errors: JobErrors
    ) -> None:
        """``timed_parts`` are ended first."""
        self._errors = errors
        self._crawler = plan.crawler
        self._settings = plan.settings
        self._job = plan.job
        self._tracker = parts.tracker
        self._steps = parts.steps
        self._committer = parts.committer
        self._thread = parts.thread
        self._engine = parts.engine
        self._state = parts.state
        self._listeners = parts.listeners
        self._custom_stats = parts.custom_stats
        self._signal_sender = parts.signal_sender
        self._clock = parts.clock
        self._timed_parts = timed_parts
        self.closed = False
        """The shutdown has begun to close the job, gracefully or by force."""
        self.failure: Exception | None = None
        """The error after which nothing could be committed; ``None``: there was none."""
        self._drain_failed = False
        """The store did not answer within RESUME_CLOSE_TIMEOUT when the spider closed."""
        self._closing_limit: Timer | None = None
        self._process_end = ProcessEnd(self.forced_shutdown, self._at_exit)
        self._abandon = weakref.finalize(plan.crawler, plan.job.abandon)
        self._abandon.atexit = False

    def torn_down(self) -> bool:
        """Whether the event loop is being torn down by force: errors are no outcomes any more."""
        return self._process_end.loop_torn_down

    def watch(self) -> None:
        """Force a shutdown if the process ends before the job is closed."""
        self._process_end.watch()

    def stop_timers(self) -> None:
        """Cancel the timers of all parts."""
        for part in self._timed_parts:
            part.end()

    def delete_event(self, key: JobKey, event: int) -> Waiter[None]:
        """Delete a delivered event of a job that this run does not own, or has closed.

        The returned waiter is set when the store has answered, also with an error.
        """
        store = open_location(self._settings.store)
        ended: Waiter[None] = self._clock.waiter()

        def failed(error: Exception) -> None:
            logger.warning("An event of %s will be sent to its handlers again: %s", key, error)
            ended.set(None)

        self._thread.submit(
            lambda: store.delete_events(key, [event]), ended.set, failed, _log_unavailable
        )
        return ended

    async def finish_work(self) -> FinalState:
        """Commit what is left, and deliver the feeds."""
        if not await self.drain():
            return FinalState(drained=False, last_worker=False, feeds_delivered=False)
        last_worker = await self.is_last_worker()
        feeds_delivered = await self.close_feeds(last_worker=last_worker)
        return FinalState(drained=True, last_worker=last_worker, feeds_delivered=feeds_delivered)

    async def is_last_worker(self) -> bool:
        """Whether no other worker is on the job. The last worker delivers the feeds.

        When no request of the job is left, waits until each other worker has noticed that and
        closes, or is dead: at most ``LAST_WORKER_WAIT_SHARE`` of RESUME_ORPHAN_TIMEOUT.
        """
        if not self._job.session.sharing.shared:
            return True
        longest_wait_seconds = LAST_WORKER_WAIT_SHARE * self._settings.orphan_timeout_seconds
        deadline = self._clock.monotonic() + longest_wait_seconds
        while (last := await self._ask(self._job.is_last)) is None:
            if self.failure is not None or self.closed or self._clock.monotonic() > deadline:
                break
            await pause(self._clock, LAST_WORKER_POLL_SECONDS)
        return bool(last)

    async def _ask(self, call: Callable[[], T]) -> T | None:
        """Call the store on its thread, and wait at most RESUME_CLOSE_TIMEOUT for the answer.

        Returns ``None``, and sets ``failure``, if there was no answer.
        """
        answer: Waiter[T | None] = self._clock.waiter()

        def failed(error: Exception) -> None:
            if self.failure is None:
                self.failure = error
                logger.error("The end of the run could not be committed: %s", error)
            answer.set(None)

        self._thread.submit(call, answer.set, failed, _log_unavailable)
        timeout_seconds = self._settings.close_timeout_seconds
        timer = self._clock.call_later(timeout_seconds, self._thread.give_up_soon)
        value = await answer.wait()
        timer.cancel()
        return value

    async def close_feeds(self, *, last_worker: bool) -> bool:
        """Deliver the feeds with all committed items. Returns whether each of them is complete.

        While other workers go on with the job, only this run's own parts are delivered.
        """
        feeds = self._listeners.feeds
        if feeds is None:
            return True
        deliver = feeds.close if last_worker else feeds.leave
        complete = await deliver(self._settings.close_timeout_seconds)
        return await self.drain() and complete

    async def drain(self) -> bool:
        """Wait until everything is committed, at most RESUME_CLOSE_TIMEOUT. Returns whether it is.

        The spider's state and the cookies are stored as they are now. After a drain that has
        failed, or after the committer was sealed, returns False at once.
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
        """Limit how long a closing spider waits for a store that does not answer.

        Before ``drain`` is called, the engine waits for callbacks, and these may wait for room in
        the committer: they go on when the store is given up, after RESUME_CLOSE_TIMEOUT.
        """
        if self._closing_limit is None and self._engine.closing:
            timeout_seconds = self._settings.close_timeout_seconds
            self._closing_limit = self._clock.call_later(timeout_seconds, self._give_up_closing)

    def _give_up_closing(self) -> None:
        self._closing_limit = None
        if self._committer.unavailable_since is not None:
            self._thread.give_up_soon()

    def store_failed(self, error: Exception) -> None:
        """Nothing more can be committed: log why, and close the spider."""
        self.failure = error
        known = isinstance(error, ResumeError)
        logger.error(
            "%s. The spider is closed; %s.",
            error if known else f"{type(error).__name__}: {message_of(error)}",
            _BEGINS_ANEW
            if isinstance(error, JobDeletedError)
            else "what was not committed is fetched again by the next run",
            exc_info=None if known else error,
        )
        self._engine.close_spider(_reason_of(error))

    def crawl_ended(self) -> None:
        """The crawl has come to its end: if it has completed the job, nothing is owed any more."""
        owed = self._job.end_owed
        if owed is None:
            return
        key, location = self._job.session.job, self._settings.store
        end = CrawlEnd(lambda: open_location(location).delete_events(key, [owed.id]))
        end.watch(self._clock)

    def forced_shutdown(self) -> None:
        """Commit what is finished and close the job, because the process is about to end."""
        if self.closed or not self._tracker.freeze():
            return
        self.closed = True
        self.stop_timers()
        self._abandon.detach()
        self._listeners.abandon_feeds()
        self._signal_sender.stop()
        self._committer.send_last_batch(self._closing("paused", "shutdown", announce=False))

    def _at_exit(self) -> None:
        """The interpreter exits: force a shutdown if the job is open, and wait for the last batch
        of this or an earlier forced shutdown, at most ``FORCED_SHUTDOWN_SECONDS``."""
        self.forced_shutdown()
        self._thread.join(FORCED_SHUTDOWN_SECONDS)

    def _status_of(self, reason: str, final: FinalState) -> str:
        if self.failure is not None or not final.drained:
            return "failed"
        status = STATUS_OF_REASON.get(reason, "paused")
        nothing_open = self._tracker.counts.nothing_open
        if status == "paused" and self._engine.closes_by_itself and nothing_open:
            # The spider was closed when nothing was left, or by nothing else than that.
            status = "completed"
        # Where others work on the job too, the counts may be older than their last commits.
        nothing_open = nothing_open or self._job.session.sharing.shared
        # Otherwise the next run goes on: with requests, with start(), or with a feed that was not
        # delivered, beside which its note has to stay.
        whole = nothing_open and self._tracker.start.exhausted and final.feeds_delivered
        return "paused" if status == "completed" and not whole else status

    async def close(self, reason: str, final: FinalState) -> str | None:
        """Commit the end of the run. Returns the new status of the job, which depends on the close
        reason and on ``final``.

        ``None``: the end could not be committed, or was committed before. If it was not, the next
        run recovers the job.
        """
        status = self._status_of(reason, final)
        feeds = self._listeners.feeds
        if status == "completed" and final.last_worker and feeds is not None:
            feeds.save_without_notes()
            if await self.drain():
                feeds.remove_notes()
        return await self._close(status, reason)

    async def _close(self, status: str, reason: str) -> str | None:
        if self.closed:
            return None
        self.closed = True
        self.stop_timers()
        self._committer.seal()
        self._abandon.detach()
        self._process_end.unwatch()
        if self._closing_limit is not None:
            self._closing_limit.cancel()
        if isinstance(self.failure, LeaseLostError):
            self._thread.stop()
            self._job.abandon()
            self._listeners.ended(None, reason, self._tracker.counts)
            return None
        await self._signal_sender.finish(self._settings.close_timeout_seconds)
        closing = self._closing(
            status, reason, announce="job_closed" in self._signal_sender.wanted()
        )
        new_status = await self._ask(lambda: self._job.close(closing))
        if new_status is not None and (note := self._job.closed) is not None:
            self._signal_sender.send([note])
            await self._signal_sender.finish(self._settings.close_timeout_seconds)
            if note.id in self._signal_sender.take_delivered():
                self._thread.give_up_soon()
                await self.delete_event(self._job.session.job, note.id).wait()
        self._signal_sender.stop()
        self._thread.stop()
        self._listeners.ended(new_status, reason, self._tracker.counts)
        return new_status

    def _closing(self, status: str, reason: str, *, announce: bool) -> Closing:
        return Closing(
            status=status,
            reason=reason,
            stats=self._stats(reason),
            custom=self._custom_stats.changed_custom(),
            delivered=self._signal_sender.take_delivered(),
            announce=announce,
            process=process_id(),
        )

    def _stats(self, reason: str) -> dict[str, object]:
        stats = self._crawler.stats
        feeds, held = self._listeners.feeds, self._tracker.held
        errors = self._errors.stats(reason, self.failure, feeds, held, self._steps.error)
        return {**(stats.get_stats() if stats is not None else {}), **errors}


def _log_unavailable(error: StoreUnavailableError) -> None:
    logger.warning("%s", error)


_BEGINS_ANEW: Final = (
    "what it has recorded is gone with it. If it was moved, put it back, and the same command goes "
    "on; if not, the same command begins a new job, which takes the items of this one out of its "
    "local feeds first"
)


def _reason_of(error: Exception) -> str:
    if isinstance(error, StateNotRecordableError):
        return "state_error"
    return "store_error"
