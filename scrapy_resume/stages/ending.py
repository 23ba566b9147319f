"""The end of a stage's run: what is left is committed, feeds are delivered, the status follows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from scrapy_resume.errors import (
    FeedNotStoredError,
    LeaseLostError,
    StoreUnavailableError,
    message_of,
)
from scrapy_resume.ports.clock import pause
from scrapy_resume.reporting.job_error import ERROR_CLASS, ERROR_MESSAGE, UNDELIVERED
from scrapy_resume.run.worker_name import process_id
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.stages.chain import CHAIN, is_program
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Waiter
    from scrapy_resume.stages.by_hand import ByHand
    from scrapy_resume.stages.stage_run import StageRun

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

POLL_SECONDS: Final = 0.2
WAIT_SHARE: Final = 1.25
"""Share of RESUME_ORPHAN_TIMEOUT after which each other worker has answered, or is dead."""

LONGEST_MESSAGE: Final = 1_000

FINISHED: Final = "finished"
SHUTDOWN: Final = "shutdown"
ERROR: Final = "stage_error"
HELD: Final = "callback_missing"

_PAUSES: Final = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, SystemExit)


class StageEnd:
    """Ends one run."""

    def __init__(self, run: StageRun, by_hand: ByHand) -> None:
        self._run = run
        self._by_hand = by_hand
        self._store_error: Exception | None = None
        self.status: str | None = None
        """The status that was stored; ``None``: none could be."""
        self.reason = FINISHED

    async def end(self, error: BaseException | None) -> Exception | None:
        """End the run. ``error``: what leaves the block; ``None``: nothing does.

        Returns the error because of which the stage has not ended as it should: the store could not
        be written, or a feed not delivered.
        """
        run = self._run
        for mapper in list(run.mappers):
            await mapper.cancel()
        await self._by_hand.end()
        run.stop_by_end()
        self.reason = self._reason(error)
        run.flush()
        if self.reason in (FINISHED, HELD) and self._is_exhausted():
            run.committer.begin_entry().start_exhausted = True
        drained = await self._drain()
        last_worker = drained and await self._is_last_worker()
        delivered = drained and await self._close_feeds(last_worker=last_worker)
        self.reason = self._reason(error)
        status = self._status(drained=drained, delivered=delivered)
        if status == "completed" and last_worker and run.parts.listeners.feeds is not None:
            run.parts.listeners.feeds.save_without_notes()
            if await self._drain():
                run.parts.listeners.feeds.remove_notes()
        await self._close(status, error)
        if self.status is not None:
            await run.backups.finish()
        run.threads.close()
        return run.failure or self._store_error or self._feed_error(delivered=delivered)

    def _feed_error(self, *, delivered: bool) -> Exception | None:
        feeds = self._run.parts.listeners.feeds
        if delivered or feeds is None:
            return None
        names = ", ".join(masked_text(name) for name in feeds.undelivered())
        return FeedNotStoredError(
            f"{self._run.session.job} is {self.status}: {names} could not be delivered. The items"
            " are in the store; when the cause is removed, the same program writes them"
        )

    async def _drain(self) -> bool:
        """Wait until all is committed, at most RESUME_CLOSE_TIMEOUT."""
        run = self._run
        if run.committer.sealed or self._store_error is not None:
            return False
        run.committer.begin_entry()
        seconds = run.settings.close_timeout_seconds
        drained = await run.committer.wait_committed(seconds)
        if not drained and run.failure is None:
            self._store_error = StoreUnavailableError(
                f"the store has not answered for {seconds:g} s (RESUME_CLOSE_TIMEOUT): the end of"
                f" {run.session.job} is not stored. The same program recovers it"
            )
            run.parts.thread.give_up_soon()
        return drained

    async def _is_last_worker(self) -> bool:
        run = self._run
        if not run.session.sharing.shared:
            return True
        seconds = WAIT_SHARE * run.settings.orphan_timeout_seconds
        deadline = run.clock.monotonic() + seconds
        while (last := await self._ask(run.job.is_last)) is None:
            if self._store_error is not None or run.clock.monotonic() > deadline:
                break
            await pause(run.clock, POLL_SECONDS)
        return bool(last)

    async def _close_feeds(self, *, last_worker: bool) -> bool:
        feeds = self._run.parts.listeners.feeds
        if feeds is None:
            return True
        deliver = feeds.close if last_worker else feeds.leave
        complete = await deliver(self._run.settings.close_timeout_seconds)
        return await self._drain() and complete

    async def _ask(self, call: Callable[[], T]) -> T | None:
        answer: Waiter[T | None] = self._run.clock.waiter()

        def failed(error: Exception) -> None:
            if self._store_error is None:
                self._store_error = error
                logger.error("The end of the stage could not be committed: %s", error)
            answer.set(None)

        thread = self._run.parts.thread
        thread.submit(call, answer.set, failed, lambda error: logger.warning("%s", error))
        seconds = self._run.settings.close_timeout_seconds
        timer = self._run.clock.call_later(seconds, thread.give_up_soon)
        value = await answer.wait()
        timer.cancel()
        return value

    # ---- the status

    def _reason(self, error: BaseException | None) -> str:
        run = self._run
        if isinstance(error, _PAUSES):
            return SHUTDOWN
        if error is not None:
            return ERROR
        if run.stop_reason is not None:
            return run.stop_reason
        if self._is_exhausted() and self._run.foreign_groups():
            return HELD
        return FINISHED

    def _is_exhausted(self) -> bool:
        run = self._run
        if run.only_retried and not run.session.start.exhausted:
            return False
        return not run.unfinished_readings and not run.stopped_early

    def _status(self, *, drained: bool, delivered: bool) -> str:
        run = self._run
        if run.failure is not None or not drained or self.reason == ERROR:
            return "failed"
        if self.reason != FINISHED:
            return "paused"
        nothing_open = run.session.sharing.shared or not run.tracker.counts.open
        whole = nothing_open and self._is_exhausted() and delivered
        return "completed" if whole else "paused"

    async def _close(self, status: str, error: BaseException | None) -> None:
        run = self._run
        run.end_timers()
        run.log.set_stats()
        run.committer.seal()
        parts = run.parts
        if isinstance(run.failure, LeaseLostError):
            parts.thread.stop()
            run.job.abandon()
            parts.listeners.ended(None, self.reason, run.tracker.counts)
            self._log()
            return
        closing = Closing(
            status=status,
            reason=self.reason,
            stats=self._stats(error),
            process=process_id() if is_program(run.plan.module) else "",
        )
        self.status = await self._ask(lambda: run.job.close(closing))
        if self.status is None:
            run.job.abandon()
        parts.thread.stop()
        parts.listeners.ended(self.status, self.reason, run.tracker.counts)
        self._log()
        owed = run.job.end_owed
        if owed is not None:
            CHAIN.completed(open_location(run.settings.store), run.session.job, [owed.id])
        elif self.status not in ("completed", "running"):
            CHAIN.interrupted()

    def _stats(self, error: BaseException | None) -> dict[str, object]:
        run = self._run
        stats = dict(run.parts.stats.get_stats())
        feeds = run.parts.listeners.feeds
        owed = {} if feeds is None else feeds.undelivered()
        if owed:
            stats[UNDELIVERED] = [masked_text(name) for name in owed]
        told: BaseException | None = run.failure or (error if self.reason == ERROR else None)
        told = told or next((one for one in owed.values() if one is not None), None)
        if told is not None:
            stats[ERROR_CLASS] = type(told).__name__
            stats[ERROR_MESSAGE] = masked_text(message_of(told))[:LONGEST_MESSAGE]
        elif self.reason == HELD:
            stats[ERROR_CLASS] = "CallbackMissingError"
            stats[ERROR_MESSAGE] = self._held_line()
        return stats

    def _held_line(self) -> str:
        groups = ", ".join(f"{name!r} ({n})" for name, n in self._run.foreign_groups().items())
        return f"open keys wait for maps that this run has not had, by name: {groups}"

    def _log(self) -> None:
        run = self._run
        if self.status is not None and self.reason == HELD:
            logger.error(
                "%s: %s. Give the map that is to do them that name, map(…, name=…), or give them"
                " up: scrapy resume park %s --callback NAME",
                run.session.job,
                self._held_line(),
                run.session.job,
            )
        run.log.stop()
        run.log.log_end(self.status, self.reason)
