"""What the log, the stats and the progress bar say of a run.

A progress line is logged every RESUME_PROGRESS_EVERY pages or items, and at least once a minute.
Its numbers are those that ``scrapy resume status`` shows at the same moment: what is committed, at
the rate that ``reporting.rates`` defines.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.errors import JobDeletedError
from scrapy_resume.reporting.progress import (
    LineSchedule,
    Progress,
    counts_at_end,
    ended_and_whole,
    skipped_at_end,
)
from scrapy_resume.reporting.progress_bar import ProgressBar, is_wanted
from scrapy_resume.reporting.rates import Throughput
from scrapy_resume.settings.masking import without_password

if TYPE_CHECKING:
    from scrapy_resume.model import Counts
    from scrapy_resume.run.crawl_run import CrawlRun
    from scrapy_resume.store.contract import Batch, Committed

logger = logging.getLogger("scrapy_resume")

PROGRESS_TICK_SECONDS: Final = 1.0
"""How often the bar is redrawn, and it is checked whether a progress line is due."""

_NEXT_STEP: Final = {
    "completed": "the same command begins the next number",
    "running": "other workers are still crawling it",
}
"""What happens after a run, by the status of its job."""


class RunLog:
    """Reports on one run: its start, its progress, its end.

    It is a ``CommitListener``, because the rate counts what is committed.
    """

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        self._clock = run.parts.clock
        self._schedule = LineSchedule(run.settings.progress_every, run.opened_at)
        self._pages = 0
        self._items = 0
        self._counts_before = run.session.counts
        """Those of the job when this run opened it."""
        self._bar: ProgressBar | None = None
        if run.settings.progress_bar and is_wanted(run.crawler.settings):
            self._bar = ProgressBar(str(run.session.job))
        self._ticking = create_looping_call(self._tick)
        run.listeners.add(self)

    # ---- as a listener of commits

    def committed(self, batch: Batch, answer: Committed) -> None:
        """Count what the store has accepted of this run."""
        self._pages = batch.progress.pages
        self._items += answer.items.given

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        """The end is logged by ``log_end``."""

    def end(self) -> None:
        """The end is logged by ``log_end``."""

    # ---- progress

    def start(self) -> None:
        """Begin to redraw the bar, and to log progress once a minute."""
        self._ticking.start(PROGRESS_TICK_SECONDS)

    def stop(self) -> None:
        """Remove the bar; log no more progress."""
        if self._ticking.running:
            self._ticking.stop()
        if self._bar is not None:
            self._bar.clear()

    def _tick(self) -> None:
        if self._schedule.is_due(self._clock.monotonic()):
            self._log()
        if self._bar is not None:
            self._bar.draw(self._run.tracker.counts, self._progress())

    def count(self) -> None:
        """Count a page or an item; log progress if a line is due."""
        if self._schedule.counted():
            self._log()

    def log_start(self) -> None:
        """Log which job is opened, whether it is new, resumed or recovered, and its counts."""
        run, session = self._run, self._run.session
        how = "is resumed"
        if session.began:
            how = "begins"
        elif session.sharing.others:
            how = f"is joined by this worker, beside {session.sharing.others} others"
        elif session.crashed:
            how = f"is resumed after a crash ({session.recovered.requests} requests were in flight)"
        logger.info(
            "Job %s %s, run %d, in %s: %s",
            session.job,
            how,
            session.run,
            without_password(run.settings.store),
            _counts(run),
        )
        if session.recovered.parked:
            logger.warning(
                "%d requests are parked: the process died each time they ran, the last time while "
                "nothing else was running",
                session.recovered.parked,
            )
        stats = run.crawler.stats
        assert stats is not None
        stats.set_value("resume/job", str(session.job))
        stats.set_value("resume/run", session.run)
        stats.set_value("resume/crashed", session.crashed)
        stats.set_value("resume/recovered", session.recovered.requests)
        stats.set_value("resume/parked", session.recovered.parked)

    def _log(self) -> None:
        self._schedule.logged(self._clock.monotonic())
        logger.info("%s", self._progress().line())

    def _progress(self) -> Progress:
        run = self._run
        counts = run.tracker.counts
        ended, whole = ended_and_whole(counts, run.parts.custom_stats.expected_total)
        throughput = self._throughput(counts)
        return Progress(
            ended=ended,
            whole=whole,
            success_rate=counts.success_rate,
            items_per_minute=throughput.items_per_minute,
            eta_seconds=throughput.eta_seconds(whole - ended),
        )

    def _throughput(self, counts: Counts) -> Throughput:
        """Of this run; in a shared store, of all workers since this one joined them.

        Only the job's counters tell what the others did: where they have grown by more than this
        run committed, the difference is theirs. Requests that end without having been sent
        (``ignored``, ``parked``) are no pages.
        """
        pages, items = self._pages, self._items
        if self._run.session.sharing.shared:
            before = self._counts_before
            pages = max(pages, (counts.done + counts.failed) - (before.done + before.failed))
            items = max(items, counts.items_stored - before.items_stored)
        return Throughput(pages, items, self._clock.monotonic() - self._run.opened_at)

    def log_end(self, kept: str | None, reason: str) -> None:
        """Log the status, the counts, and what the next crawl will do.

        ``kept``: the status that was stored; ``None`` if the end could not be stored.
        """
        job = self._run.session.job
        if kept is None:
            remedy = "Run the same command again to recover the job."
            if isinstance(self._run.shutdown.failure, JobDeletedError):
                remedy = "The job is gone from the store."
            logger.error(
                "Job %s: the end of the run (%s) could not be stored. %s", job, reason, remedy
            )
            return
        self._log()
        lost = self._run.parts.items.not_recordable
        if lost:
            logger.error(
                "%d items could not be serialized and are not stored: 'scrapy resume failed' says "
                "why. When that is mended, 'scrapy resume retry' fetches their pages again.",
                lost,
            )
        tracker = self._run.tracker
        next_step = _NEXT_STEP.get(kept, "run the same command again to resume it")
        logger.info(
            "Job %s is %s (%s): %s; %s",
            job,
            kept,
            reason,
            counts_at_end(tracker.counts) + skipped_at_end(tracker.skipped_count),
            next_step,
        )

    def set_stats(self) -> None:
        """Set the stats ``resume/total/…``: the totals over all runs."""
        run = self._run
        stats = run.crawler.stats
        assert stats is not None
        counts = run.tracker.counts
        totals = {
            "items": counts.items_stored,
            "items_dropped": counts.items_dropped,
            "items_failed": counts.items_failed,
            "pages": run.session.progress.pages + run.tracker.pages,
            "done": counts.done,
            "failed": counts.failed,
            "parked": counts.parked,
            "ignored": counts.ignored,
            "pending": counts.open,
            "runs": run.session.run,
        }
        stats.set_value("resume/released_unsent", run.parts.sync.released_unsent)
        for name, value in totals.items():
            stats.set_value(f"resume/total/{name}", value)


def _counts(run: CrawlRun) -> str:
    counts = run.tracker.counts
    return (
        f"{counts.done} done, {counts.pending} pending, {counts.leased} in flight, "
        f"{counts.failed} failed, {counts.items_stored} items"
    )
