"""Builds the parts of one run, from the store's thread up to the signal handlers.

Each part gets what it needs in its constructor; nothing is assigned later. Where two parts need one
another, the upper one calls the lower one, and the committer calls back through
``CommitParticipant``, which is the run itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from scrapy.utils.misc import load_object

from scrapy_resume.commits.committer import Committer
from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.dispatch.delayed import DelayedRows
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.dispatch.lease_guard import LeaseGuard
from scrapy_resume.dispatch.workers import Workers
from scrapy_resume.engine.clock import ScrapyClock
from scrapy_resume.engine.component_state import ComponentState
from scrapy_resume.engine.cookies import Cookies
from scrapy_resume.engine.drops import ScrapyDrops
from scrapy_resume.engine.job_stats import JobStats
from scrapy_resume.engine.port import EnginePort
from scrapy_resume.engine.spider_state import SpiderState
from scrapy_resume.engine.step_calls import EngineDownload, EngineHold, ScrapyCalls
from scrapy_resume.events.commit_listeners import CommitListeners
from scrapy_resume.events.signal_sender import SignalSender
from scrapy_resume.frontier.dupefilter import DupeFilter
from scrapy_resume.frontier.every_run import EveryRunGate
from scrapy_resume.frontier.fingerprints import fingerprints
from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.lease_quota import LeaseQuota
from scrapy_resume.frontier.placement import Placement
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.frontier.robots import RobotsGate
from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer
from scrapy_resume.politeness.host_breaker import BreakerRules, HostBreakers
from scrapy_resume.reporting.custom_stats import CustomStats
from scrapy_resume.run.batch_sync import BatchSync
from scrapy_resume.run.store_time import StoreTime
from scrapy_resume.steps.fetching import BlockingFetch, Fetch
from scrapy_resume.steps.fleet_fetches import FleetDownload
from scrapy_resume.steps.items import HeldItems
from scrapy_resume.steps.plan import PlannedSteps, StepPlan
from scrapy_resume.steps.ports import StepLimits, StepPorts
from scrapy_resume.steps.runner import StepRunner
from scrapy_resume.steps.step_log import StepLog
from scrapy_resume.steps.threads import DaemonThreads
from scrapy_resume.tracking.admission import Admissions
from scrapy_resume.tracking.arrival_log import ArrivalLog
from scrapy_resume.tracking.held import HeldRequests
from scrapy_resume.tracking.items import OpenItems
from scrapy_resume.tracking.row_ids import IdSequence
from scrapy_resume.tracking.sharing import Sharing
from scrapy_resume.tracking.start import Start
from scrapy_resume.tracking.start_history import StartHistory
from scrapy_resume.tracking.start_list import StartList
from scrapy_resume.tracking.tracker import Tracker

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import CommitParticipant
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.settings.queue_order import QueueOrder
    from scrapy_resume.store.contract import JobStore


class CrawlPlan(Struct, frozen=True):
    """The crawl, its settings, and the job that was opened for it."""

    crawler: Crawler
    settings: ResumeSettings
    order: QueueOrder
    codec: Codec
    job: JobStore
    slot_delay_seconds: float
    """The longest delay between two requests of a download slot."""
    steps: StepPlan = field(default_factory=StepPlan)


class Parts(Struct, frozen=True):
    """The parts of one run. All share one clock, one engine port and one committer."""

    clock: ScrapyClock
    engine: EnginePort
    thread: StoreThread
    committer: Committer
    cookies: Cookies
    state: SpiderState
    frontier: LeaseBuffer
    breakers: HostBreakers
    delayed: DelayedRows
    dispatcher: Dispatcher
    guard: LeaseGuard
    workers: Workers
    items: OpenItems
    steps: StepRunner
    fleet_fetches: FleetDownload | None
    """``None``: no host is another worker's."""
    hold: EngineHold
    download: EngineDownload
    threads: DaemonThreads
    tracker: Tracker
    sync: BatchSync
    store_time: StoreTime
    custom_stats: CustomStats
    signal_sender: SignalSender
    listeners: CommitListeners


def assemble(plan: CrawlPlan, participant: CommitParticipant) -> Parts:
    """Build the parts. ``participant`` completes the batches of the run and reads the answers.

    Called when the spider is set and the job is open, before the engine exists.
    """
    crawler, settings, codec, job = plan.crawler, plan.settings, plan.codec, plan.job
    spider, stats = crawler.spider, crawler.stats
    assert spider is not None
    assert stats is not None
    session = job.session
    clock = ScrapyClock()
    engine = EnginePort(has_delays=plan.slot_delay_seconds > 0)
    thread = StoreThread(f"scrapy-resume {session.job}", clock)
    committer = Committer(job, thread, participant, settings.commit_interval_seconds, clock)
    cookies = Cookies(codec)
    components = ComponentState(crawler, settings.component_state)
    job_stats = JobStats(crawler, enabled=settings.stats == "job" and not session.sharing.shared)
    state = SpiderState(spider, codec, cookies, components, job_stats, session.state.spider_state)
    frontier = _frontier(plan, engine, clock)
    breakers = HostBreakers(_breaker_rules(plan), frontier, stats, committer, engine, clock)
    delayed = DelayedRows(settings.retry_wait_seconds, breakers, committer, engine, clock)
    dispatcher = Dispatcher(job, frontier, delayed, breakers, committer, engine, clock)
    hold, download = EngineHold(), EngineDownload()
    placement = Placement(
        plan.order,
        frontier,
        Backoff(settings.retry_delay_seconds, settings.retry_delay_max_seconds, clock),
        engine,
    )
    fleet_fetches = None
    if session.sharing.shared and session.sharing.slots_owned:
        fleet_fetches = FleetDownload(
            session.run,
            codec,
            download,
            placement.slot_of,
            frontier.owns,
            engine,
            committer,
            clock,
        )
    workers = Workers(
        session,
        frontier,
        dispatcher,
        plan.slot_delay_seconds,
        committer,
        engine,
        clock,
        None if fleet_fetches is None else fleet_fetches.busy,
    )
    planned = PlannedSteps(plan.steps, codec) if plan.steps.steps else None
    items = OpenItems(session.job, codec, stats, settings.item_key, committer, clock, planned)
    guard = LeaseGuard(
        shared=session.sharing.shared,
        orphan_seconds=settings.orphan_timeout_seconds,
        committer=committer,
        engine=engine,
        clock=clock,
    )
    threads = DaemonThreads(f"scrapy-resume step of {session.job}", clock.post)
    fetch = Fetch(download if fleet_fetches is None else fleet_fetches)
    steps = StepRunner(
        plan.steps,
        StepLimits(
            places=settings.step_concurrency,
            retry_delay_seconds=settings.retry_delay_seconds,
            retry_delay_max_seconds=settings.retry_delay_max_seconds,
        ),
        HeldItems(plan.steps, codec, settings.item_key),
        StepLog(stats, clock),
        StepPorts(
            job=job,
            committer=committer,
            dispatcher=dispatcher,
            guard=guard,
            engine=engine,
            clock=clock,
            hold=hold,
            calls=ScrapyCalls(),
            threads=threads,
            takes={
                "fetch": fetch,
                "blocking_fetch": BlockingFetch(fetch, clock),
                "crawler": crawler,
                "spider": spider,
            },
        ),
    )
    ids = IdSequence(session.ids, committer)
    history = StartHistory(job, thread, committer, clock)
    start = Start(ids, codec, committer, clock, history, began=session.began)
    start_list = StartList(history, stats, codec.differing_fields, began=session.began)
    log = ArrivalLog(stats, ScrapyDrops(crawler), start_list)
    admissions = Admissions(
        ids,
        codec,
        _dupefilter(plan),
        placement,
        dispatcher,
        committer,
        log,
        Sharing(session.run, codec, spider, fleet=session.sharing.shared),
        clock,
        delta=session.delta,
        delta_start=settings.delta_start == "skip",
        only_retried=session.frontier.only_retried,
        extends=session.start.round > 0,
    )
    held = HeldRequests(stats)
    tracker = Tracker(
        session.counts,
        dispatcher,
        admissions,
        items,
        start,
        workers,
        committer,
        held,
        steps,
        delayed=session.frontier.delayed,
    )
    return Parts(
        clock=clock,
        engine=engine,
        thread=thread,
        committer=committer,
        cookies=cookies,
        state=state,
        frontier=frontier,
        breakers=breakers,
        delayed=delayed,
        dispatcher=dispatcher,
        guard=guard,
        workers=workers,
        items=items,
        steps=steps,
        hold=hold,
        download=download,
        threads=threads,
        tracker=tracker,
        fleet_fetches=fleet_fetches,
        sync=BatchSync(
            tracker,
            frontier,
            dispatcher,
            workers,
            breakers,
            ids,
            steps,
            committer,
            fleet_fetches,
        ),
        store_time=StoreTime(session.now, clock),
        custom_stats=CustomStats(stats, spider, session.progress.expected_total, clock.monotonic),
        signal_sender=SignalSender(crawler, session.job, tracker, clock),
        listeners=CommitListeners(session, tracker),
    )


def _frontier(plan: CrawlPlan, engine: EnginePort, clock: ScrapyClock) -> LeaseBuffer:
    scrapy_settings, session = plan.crawler.settings, plan.job.session
    concurrency = scrapy_settings.getint("CONCURRENT_REQUESTS")
    options: dict[str, Any] = {
        "concurrency": concurrency,
        "by_slot": plan.order.by_slot,
        "pending": session.frontier.pending,
        "only_retried": session.frontier.only_retried,
        "every_run": EveryRunGate(awaited=session.frontier.every_run),
        "robots": RobotsGate() if scrapy_settings.getbool("ROBOTSTXT_OBEY") else None,
    }
    if session.sharing.shared and not session.sharing.slots_owned:
        return SharedLeaseBuffer(LeaseQuota(concurrency, engine, clock), **options)
    return LeaseBuffer(owns_slots=session.sharing.slots_owned, **options)


def _breaker_rules(plan: CrawlPlan) -> BreakerRules:
    settings = plan.settings
    retried = plan.crawler.settings.getlist("RETRY_EXCEPTIONS")
    return BreakerRules(
        failures=settings.breaker_failures,
        probes=settings.breaker_probes,
        cooldown_seconds=settings.breaker_cooldown_seconds,
        longest_cooldown_seconds=settings.retry_delay_max_seconds,
        errors=tuple(load_object(error) for error in retried),
    )


def _dupefilter(plan: CrawlPlan) -> DupeFilter:
    fingerprinter = plan.crawler.request_fingerprinter
    assert fingerprinter is not None
    return DupeFilter(plan.job.session.run, plan.order, fingerprints(fingerprinter))
