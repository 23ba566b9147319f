"""One run of a stage: what it does with each batch, and as time passes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from scrapy_resume.model import State
from scrapy_resume.run.backups import Backups
from scrapy_resume.run.order_polling import OrderPolling
from scrapy_resume.run.worker_name import worker_name
from scrapy_resume.stages.assembly import assemble_stage
from scrapy_resume.stages.stage_log import StageLog, StageShown
from scrapy_resume.stages.stage_metadata import StageMetadata
from scrapy_resume.stages.threads import CallThreads
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import LookedUp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from scrapy import Request
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.events.log_writer import EventLogWriter
    from scrapy_resume.model import UnitState
    from scrapy_resume.ports.clock import Timer, Waiter
    from scrapy_resume.stages.opening import OpenedStage, StagePlan
    from scrapy_resume.stages.task import Task
    from scrapy_resume.store.contract import Batch, Committed, Orders
    from scrapy_resume.store.contract.copies import OwnCopy

logger = logging.getLogger("scrapy_resume")

TICK_SECONDS = 0.5


class Cancellable(Protocol):
    """A ``map`` that runs."""

    async def cancel(self) -> None:
        """Cancel the tasks in hand: they are released."""


class StageRun:
    """One run of a stage's job. It is the ``commits.committer.CommitParticipant``. To be made
    within the event loop that runs it."""

    def __init__(self, opened: OpenedStage, plan: StagePlan) -> None:
        self.plan = plan
        self.opened = opened
        self.job = opened.job
        self.session = opened.job.session
        self.settings = opened.settings
        self.codec = opened.codec
        parts = assemble_stage(opened, self, self.stop)
        self.parts = parts
        self.clock = parts.clock
        self.groups = parts.groups
        self.committer = parts.committer
        self.admissions = parts.admissions
        self.tracker = parts.tracker
        self.listeners = parts.listeners
        self.opened_at = self.clock.monotonic()
        self.crawler = StageShown(parts.stats)
        self.named_units: Mapping[UnitState, int] | None = None
        """See ``CrawlRun``."""
        self.shutdown = self
        self.threads = CallThreads(f"stage {plan.name}", self.clock)
        self.mappers: set[Cancellable] = set()
        self.metadata = StageMetadata(opened.settings.metadata)
        self.stopped = False
        """No task is begun any more."""
        self.stop_reason: str | None = None
        """Why; ``None``: it was not stopped."""
        self.failure: Exception | None = None
        """The error after which nothing could be committed; ``None``: there was none."""
        self.unfinished_readings = 0
        """Readings of inputs that have not come to their end."""
        self.only_retried = opened.job.session.frontier.only_retried
        """Only what was retried is done: no inputs are read."""
        self.expected_total = plan.total
        if plan.total is not None:
            parts.custom_stats.expected_total = plan.total
        self._total_sent = False
        self.stored_by_hand: list[bytes] = []
        """Identities of keys of earlier runs' loops that are in hand here, and were not yielded."""
        self.give_back_by_hand: Callable[[], object] = lambda: None
        """Gives these back, to be leased by a map."""
        self._flushes = False
        self._listeners: list[Callable[[], object]] = []
        self._timer: Timer | None = None
        self._ticks = 0
        self._orders = OrderPolling(self.job, parts.thread, self._execute)
        self.parts.workers.starting = False
        self.log = StageLog(self, self.groups)
        self._delivered = [note.id for note in self.session.events.of_job]
        """Events of the job that nobody listens to: a stage sends no signals."""
        if self.settings.event_log:
            self.listeners.add(self._event_log())
        self.backups = Backups(
            self._keep_copy,
            self.settings.backup_seconds,
            self.clock,
            cast("StatsCollector", parts.stats),
        )

    def _event_log(self) -> EventLogWriter:
        from scrapy_resume.events.log_writer import EventLogWriter

        directory = Path(self.settings.event_directory)
        log = EventLogWriter(
            directory, self.session, worker_name(), self.settings.heartbeat_seconds
        )
        log.started(self.session, self.plan.name)
        return log

    def _keep_copy(self, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        store = open_location(self.settings.store)
        return store.keep_copy(self.session.job, self.session.epoch, is_stopped)

    # ---- time

    def begin(self) -> None:
        """Begin to beat, and to look for orders."""
        self.log.log_start()
        if self.settings.backup_seconds:
            self.backups.start(0.0)
        self._tick()
        self.committer.send_soon()

    def _tick(self) -> None:
        self._timer = self.clock.call_later(TICK_SECONDS, self._tick)
        self._ticks += 1
        self._orders.poll()
        beats = max(1, int(self.settings.heartbeat_seconds / TICK_SECONDS))
        if self._ticks % beats == 0 and self.committer.idle:
            self.committer.send_soon()
        if self._ticks % 2:
            return
        self.log.tick()
        if self.session.sharing.shared:
            self.job.show_life()
            self.parts.workers.listen()
        self._close_if_only_delayed()
        if self.parts.guard.may_send():
            self.groups.wake()

    def _close_if_only_delayed(self) -> None:
        """Stop if only delayed tasks have been left for too long (RESUME_RETRY_WAIT)."""
        dispatcher, groups = self.parts.dispatcher, self.groups.open.values()
        only_delayed = (
            bool(groups)
            and not any(group.reading or group.running for group in groups)
            and bool(self.tracker.delayed or dispatcher.delayed)
            and dispatcher.only_waits()
            and self.parts.workers.only_waits
        )
        if only_delayed and not self.stopped:
            dispatcher.delayed.close_if_too_long(self.tracker.delayed)
        else:
            dispatcher.delayed.restart_patience()

    def end_timers(self) -> None:
        """Do nothing more as time passes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._orders.end()
        self.parts.workers.end()
        self.parts.delayed.end()
        self.backups.end()

    def give_up(self) -> None:
        """The block does not begin: stop all that has begun."""
        self.end_timers()
        self.committer.seal()
        self.parts.listeners.abandon_feeds()
        self.parts.thread.stop()
        self.threads.close()

    # ---- the store

    async def known(self, identities: Collection[bytes]) -> Mapping[bytes, int]:
        """Those of these identities that the store knows, with their rows. Empty if the store has
        failed."""
        answer: Waiter[LookedUp] = self.clock.waiter()

        def failed(error: Exception) -> None:
            self.committer.fail(error)
            answer.set(LookedUp({}, skips=True))

        self.parts.thread.submit(
            lambda: self.job.look_up(identities), answer.set, failed, lambda _: None
        )
        looked_up = await answer.wait()
        if looked_up.skips:
            self.admissions.at_once = False
        return looked_up.rows

    def foreign_groups(self) -> dict[str, int]:
        """Groups that have pending rows, and that this run has not opened; how many."""
        return {
            name: queue.pending
            for name, queue in self.parts.frontier.queues.items()
            if queue.pending and name not in self.groups.met
        }

    async def open_groups(self, rows: Collection[int]) -> set[str]:
        """The groups of those of these rows that are pending. Empty if the store has failed."""
        answer: Waiter[set[str]] = self.clock.waiter()

        def failed(error: Exception) -> None:
            self.committer.fail(error)
            answer.set(set())

        self.parts.thread.submit(
            lambda: self.job.pending_slots(rows), answer.set, failed, lambda _: None
        )
        return await answer.wait()

    async def mark_begun(self, task: Task) -> None:
        """A task begins: if the process dies from now on, it may be the cause. In a job that has
        crashed, waits until the store knows that."""
        dispatcher = self.parts.dispatcher
        dispatcher.mark_answered(cast("Request", task))
        if self.session.crashed:
            await dispatcher.wait_until_marked()

    def waiting(self, group: str) -> int:
        """See ``TaskAdmissions.waiting``."""
        return self.admissions.waiting(group)

    def flush(self) -> None:
        """Have the next batch record all that was read."""
        self._flushes = True
        self.committer.begin_entry()

    def complete(self, batch: Batch) -> None:
        """Complete a batch that is about to be sent."""
        parts = self.parts
        parts.sync.release_blocked(batch)
        if self._flushes:
            self._flushes = False
            self.admissions.send_unsent(batch, everything=True)
        parts.sync.complete(batch)
        self._take_reading_over(batch)
        parts.store_time.to_store(batch)
        if not self._total_sent:
            self._total_sent = True
            batch.progress.expected_total = self.expected_total
        batch.progress.metadata = self.metadata.change()
        batch.progress.named_units_wanted = self.named_units is None
        batch.events.delivered, self._delivered = self._delivered, []
        batch.events.logged = bool(self.settings.event_log)
        parts.listeners.complete(batch)

    def _take_reading_over(self, batch: Batch) -> None:
        """If this process has read its inputs and has nothing to do, and the one that had opened
        the job first has died, stand in for it: nobody else says that the inputs are at their end,
        and all who are left would wait for that."""
        groups = self.groups.open.values()
        if batch.sharing.idle and groups and not any(group.reading for group in groups):
            batch.sharing.start_wanted = True

    def answered(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        parts = self.parts
        parts.store_time.answered(answer.now, self.committer.in_touch_at)
        parts.store_time.from_store(answer)
        parts.sync.answered(batch, answer)
        if self.tracker.has_foreign_suspect:
            parts.dispatcher.suspects = 0
        parts.guard.answered()
        if answer.named_units is not None:
            self.named_units = answer.named_units
        parts.listeners.committed(batch, answer)
        if self.admissions.has_unsent:
            self.committer.send_in_time()
        self.groups.wake()

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """Not called: a stage that is torn down leaves its job to the recovery."""

    def store_unavailable(self) -> None:
        """The store did not answer; the committer retries."""

    def store_failed(self, error: Exception) -> None:
        """Nothing more can be committed: stop all work."""
        self.failure = error
        logger.error("%s. The stage stops; what was not committed is done again", error)
        self.end_timers()
        self.tracker.store_failed()
        self.parts.guard.lose()
        self.parts.listeners.abandon_feeds()
        self.stop("store_error")

    def when_committed(self, tell: Callable[[list[bytes]], None]) -> None:
        """Call ``tell`` with the identities of the tasks whose end was committed."""
        self.parts.sync.ended = tell

    # ---- stopping

    def stop(self, reason: str) -> None:
        """Begin no more tasks, and read no more inputs. Those in hand come to their end."""
        if self.stop_reason is None:
            self.stop_reason = reason
        if not self.stopped:
            self.stopped = True
            self.parts.engine.closing = True
            self.groups.stop()
            for tell in self._listeners:
                tell()

    @property
    def stopped_early(self) -> bool:
        """Whether it was stopped before the end of the block."""
        return self.stop_reason is not None

    def stop_by_end(self) -> None:
        """The block has ended: begin no more tasks."""
        if not self.stopped:
            self.stopped = True
            self.groups.stop()

    def when_stopped(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` when the stage stops."""
        self._listeners.append(tell)

    def _execute(self, orders: Orders) -> None:
        """Execute the orders of ``scrapy resume stop``, ``retry`` and ``park``."""
        if orders.stop and not self.stopped:
            logger.info("The stage is stopped, as `scrapy resume stop` asks")
            self.stop("shutdown")
        if orders.changed:
            self.named_units = None
            self.parts.workers.slots.refill_empty_slots()
            self.committer.send_soon()

    # ---- what became of tasks

    def ended(self, task: Task, state: State) -> None:
        """A task has ended in this run."""
        self.tracker.pages += 1
        self.log.count_page()
