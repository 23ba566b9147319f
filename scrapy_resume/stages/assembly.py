"""Builds the parts of a stage's run: those of a crawl's, with tasks in place of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from scrapy_resume.commits.committer import Committer
from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.dispatch.delayed import DelayedRows
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.dispatch.lease_guard import LeaseGuard
from scrapy_resume.dispatch.workers import Workers
from scrapy_resume.events.commit_listeners import CommitListeners
from scrapy_resume.frontier.dupefilter import DupeFilter
from scrapy_resume.frontier.lease_quota import LeaseQuota
from scrapy_resume.frontier.placement import Placement
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.politeness.host_breaker import BreakerRules, HostBreakers
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.run.store_time import StoreTime
from scrapy_resume.settings.queue_order import QueueOrder
from scrapy_resume.stages.groups import TaskGroups
from scrapy_resume.stages.stage_engine import StageEngine
from scrapy_resume.stages.stage_stats import StageStats
from scrapy_resume.stages.task import TaskCodec
from scrapy_resume.stages.task_admission import TaskAdmissions
from scrapy_resume.stages.task_buffer import SharedTaskBuffer, TaskBuffer
from scrapy_resume.stages.task_sync import TaskSync
from scrapy_resume.stages.task_tracker import TaskTracker
from scrapy_resume.tracking.arrival_log import ArrivalLog
from scrapy_resume.tracking.held import HeldRequests
from scrapy_resume.tracking.items import OpenItems
from scrapy_resume.tracking.no_steps import NoSteps
from scrapy_resume.tracking.row_ids import IdSequence
from scrapy_resume.tracking.sharing import Sharing
from scrapy_resume.tracking.start import Start
from scrapy_resume.tracking.start_history import StartHistory
from scrapy_resume.tracking.start_list import StartList

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.commits.committer import CommitParticipant
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.stages.opening import OpenedStage
    from scrapy_resume.stages.task import Task
    from scrapy_resume.tracking.arrival_log import Drops

LEASED_ALONE: Final = 500
"""Half of the rows that a process which has the job to itself leases ahead: tasks may take a few
microseconds, and each lease costs a commit."""

LEASED_SHARED: Final = 64
"""The same where several processes work on the job, if no other one does now."""


@dataclass(frozen=True)
class StageParts:
    """The parts of one run of a stage."""

    clock: AsyncioClock
    engine: StageEngine
    groups: TaskGroups
    thread: StoreThread
    committer: Committer
    frontier: LeaseBuffer
    breakers: HostBreakers
    delayed: DelayedRows
    dispatcher: Dispatcher
    guard: LeaseGuard
    workers: Workers
    admissions: TaskAdmissions
    items: OpenItems
    tracker: TaskTracker
    steps: NoSteps
    sync: TaskSync
    store_time: StoreTime
    stats: StageStats
    listeners: CommitListeners
    custom_stats: ExpectedTotal


@dataclass
class ExpectedTotal:
    """The tasks of the whole job, as the program expects; ``None``: it does not say."""

    expected_total: float | None


def assemble_stage(
    opened: OpenedStage, participant: CommitParticipant, stop: Callable[[str], None]
) -> StageParts:
    """Build the parts, within the event loop. ``stop``: called with the reason to stop."""
    job, settings, codec = opened.job, opened.settings, opened.codec
    session = job.session
    stats = StageStats()
    collector = cast("StatsCollector", stats)
    clock = AsyncioClock()
    groups = TaskGroups(clock)
    engine = StageEngine(groups, stop)
    thread = StoreThread(f"scrapy-resume {session.job}", clock)
    committer = Committer(job, thread, participant, settings.commit_interval_seconds, clock)
    frontier = _frontier(opened, groups, engine, clock)
    rules = BreakerRules(0, 1, 1.0, 1.0, ())
    breakers = HostBreakers(rules, frontier, collector, committer, engine, clock)
    delayed = DelayedRows(settings.retry_wait_seconds, breakers, committer, engine, clock)
    dispatcher = Dispatcher(job, frontier, delayed, breakers, committer, engine, clock)
    workers = Workers(session, frontier, dispatcher, 0.0, committer, engine, clock)
    items = OpenItems(session.job, codec, collector, settings.item_key, committer, clock)
    ids = IdSequence(session.ids, committer)
    history = StartHistory(job, thread, committer, clock)
    order = QueueOrder(by_slot=True, lifo=False, start=None, dedupe=True)
    backoff = Backoff(settings.retry_delay_seconds, settings.retry_delay_max_seconds, clock)
    start_list = StartList(history, collector, codec.differing_fields, began=session.began)
    admissions = TaskAdmissions(
        ids,
        codec,
        DupeFilter(session.run, order, _no_fingerprint),
        Placement(order, frontier, backoff, engine),
        dispatcher,
        committer,
        ArrivalLog(collector, cast("Drops", None), start_list),
        Sharing(session.run, codec, None, fleet=session.sharing.shared),
        clock,
        delta=False,
    )
    admissions.begin_tasks(
        TaskCodec(codec),
        groups,
        ids,
        dispatcher,
        committer,
        frontier,
        clock,
        at_once=not (session.crashed or session.taken_over or session.sharing.shared),
    )
    tracker = TaskTracker(
        session.counts,
        dispatcher,
        admissions,
        items,
        Start(ids, codec, committer, clock, history, began=session.began),
        workers,
        committer,
        HeldRequests(collector),
        delayed=session.frontier.delayed,
    )
    guard = LeaseGuard(
        shared=session.sharing.shared,
        orphan_seconds=settings.orphan_timeout_seconds,
        committer=committer,
        engine=engine,
        clock=clock,
    )

    def next_task() -> Task | None:
        # Beside others a task begins only while the leases are known to be this worker's.
        if session.sharing.shared and not guard.may_send():
            return None
        return tracker.next_task()

    groups.connect(next_task, tracker.is_over, admissions.let_in)
    return StageParts(
        clock=clock,
        engine=engine,
        groups=groups,
        thread=thread,
        committer=committer,
        frontier=frontier,
        breakers=breakers,
        delayed=delayed,
        dispatcher=dispatcher,
        guard=guard,
        workers=workers,
        admissions=admissions,
        items=items,
        tracker=tracker,
        steps=NoSteps(),
        sync=TaskSync(tracker, frontier, dispatcher, workers, breakers, ids, committer),
        store_time=StoreTime(session.now, clock),
        stats=stats,
        listeners=CommitListeners(session, tracker),
        custom_stats=ExpectedTotal(session.progress.expected_total),
    )


def _frontier(
    opened: OpenedStage, groups: TaskGroups, engine: StageEngine, clock: AsyncioClock
) -> LeaseBuffer:
    """The lease buffer. No group is open yet, so nothing is leased."""
    session = opened.job.session
    options: dict[str, Any] = {
        "by_slot": True,
        "pending": session.frontier.pending,
        "only_retried": session.frontier.only_retried,
    }
    frontier: LeaseBuffer
    if session.sharing.shared:
        quota = LeaseQuota(LEASED_SHARED, engine, clock)
        frontier = SharedTaskBuffer(groups, quota, concurrency=LEASED_SHARED, **options)
    else:
        frontier = TaskBuffer(groups, concurrency=LEASED_ALONE, **options)
    for group in session.frontier.pending:
        frontier.block(group)
    return frontier


def _no_fingerprint(_: object) -> bytes:
    """Tasks have keys."""
    raise AssertionError("a task was taken for a request")
