"""Opens the run of a crawl: checks the settings, opens the job and builds the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scrapy_resume.codec import Codec
from scrapy_resume.databases.check import check_feeds
from scrapy_resume.engine.component_state import check_components
from scrapy_resume.engine.crawl_rules import rules_of
from scrapy_resume.engine.spider_arguments import spider_arguments
from scrapy_resume.reporting.custom_stats import check_total
from scrapy_resume.run.assembly import CrawlPlan
from scrapy_resume.run.components import check_wiring, leave_out_jobdir_of_platform
from scrapy_resume.run.crawl_run import CrawlRun
from scrapy_resume.run.launch import launch_of, without_secrets
from scrapy_resume.run.open_job import Candidate, open_job
from scrapy_resume.run.worker_name import worker_name
from scrapy_resume.settings.job_name import job_name
from scrapy_resume.settings.parse import parse_settings, with_spider
from scrapy_resume.settings.queue_order import queue_order
from scrapy_resume.settings.slot_delay import longest_slot_delay
from scrapy_resume.settings.trusted import trusted_packages
from scrapy_resume.steps.plan import load_plan
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from scrapy_resume.events.log_writer import EventLogWriter


def open_run(crawler: Crawler) -> CrawlRun:
    """Check the settings, and resume the latest job of the crawl or begin the next one.

    Raises ``ResumeError``. If opening the job is refused, nothing is changed in the store.
    """
    spider = crawler.spider
    assert spider is not None
    check_wiring(crawler.settings)
    check_feeds(crawler.settings)
    leave_out_jobdir_of_platform(crawler.settings)
    settings = with_spider(parse_settings(crawler.settings), spider)
    check_total(spider)
    check_components(crawler.settings, settings.component_state)
    order = queue_order(crawler.settings)
    trusted = trusted_packages(crawler.settings)
    codec = Codec(spider, settings.codecs, trusted, settings.renamed, rules_of(spider))
    item_key_fields = getattr(settings.item_key, "fields", ())
    store = open_location(settings.store)
    # Late: components of steps may create what they keep.
    steps = load_plan(settings.steps, crawler, item_key_fields)
    arguments = spider_arguments(crawler)
    candidate = Candidate(
        name=job_name(spider.name, without_secrets(arguments), settings.job),
        spider=spider.name,
        arguments=arguments,
        settings=settings,
        launch=launch_of(crawler, arguments),
        names=codec.name_history,
        slot_delay_seconds=longest_slot_delay(crawler.settings, spider),
    )
    job = open_job(store, candidate)
    try:
        delay_seconds = candidate.slot_delay_seconds
        plan = CrawlPlan(crawler, settings, order, codec, job, delay_seconds, steps)
        run = CrawlRun(plan)
        run.parts.state.restore()
    except BaseException:
        job.abandon()
        raise
    if settings.event_log:
        run.listeners.add(_event_log(run, spider.name))
    return run


def _event_log(run: CrawlRun, spider: str) -> EventLogWriter:
    from scrapy_resume.events.log_writer import EventLogWriter

    settings = run.settings
    directory = Path(settings.event_directory)
    log = EventLogWriter(directory, run.session, worker_name(), settings.heartbeat_seconds)
    log.started(run.session, spider)
    return log
