"""What the log, the stats and the progress bar say of a run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.reporting.progress_bar import ProgressBar, is_wanted
from scrapy_resume.settings.masking import without_password

if TYPE_CHECKING:
    from scrapy_resume.run.crawl_run import CrawlRun

logger = logging.getLogger("scrapy_resume")

PROGRESS_SECONDS: Final = 60
"""A progress line at least so often."""

PROGRESS_TICK_SECONDS: Final = 1.0
"""How often the bar moves on, and the clock is looked at for the line."""

_FURTHER: Final = {
    "completed": "the same command begins the next number",
    "running": "the other workers go on with it",
}


class RunLog:
    """Tells of one run: its start, how it goes on, its end."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        self._every = run.settings.progress_every
        self._events = 0
        self._logged_at = self._started_at = time.monotonic()
        self._items_before = run.session.counts.items_stored
        self._bar: ProgressBar | None = None
        if run.settings.progress_bar and is_wanted(run.crawler.settings):
            self._bar = ProgressBar(str(run.session.job))
        self._ticking = create_looping_call(self._tick)

    def start(self) -> None:
        """From here on the clock is looked at."""
        self._ticking.start(PROGRESS_TICK_SECONDS)

    def stop(self) -> None:
        """The bar, if there is one, goes."""
        if self._ticking.running:
            self._ticking.stop()
        if self._bar is not None:
            self._bar.clear()

    def _tick(self) -> None:
        """A line at least once a minute; the bar moves on."""
        if time.monotonic() - self._logged_at >= PROGRESS_SECONDS:
            self._log()
        if self._bar is not None:
            self._bar.draw(self._run.tracker.counts, self._words())

    def count(self) -> None:
        """A page or an item has come."""
        self._events += 1
        if self._events >= self._every:
            self._log()

    def log_start(self) -> None:
        """Which job, fresh or resumed or after a crash, and its counts."""
        run, session = self._run, self._run.session
        how = "goes on"
        if session.began:
            how = "begins"
        elif session.sharing.others:
            how = f"has another worker now, beside {session.sharing.others}"
        elif session.crashed:
            how = f"goes on after a crash ({session.recovered.requests} requests were in hand)"
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
                "%d requests are parked: the process died each time they ran, the last time alone",
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
        self._events = 0
        self._logged_at = time.monotonic()
        logger.info("%s", self._words())

    def _words(self) -> str:
        """``45.5% (5000/11000) | success 98.2% | 42.3 items/s | ETA 2.4 min``."""
        run = self._run
        counts = run.tracker.counts
        seconds = max(time.monotonic() - self._started_at, 1e-9)
        ended = counts.total - counts.open
        total = max(counts.total, int(run.parts.custom_stats.expected_total or 0))
        items_per_second = (counts.items_stored - self._items_before) / seconds
        pages_per_second = run.tracker.pages / seconds
        rate = counts.success_rate
        left = total - ended
        eta = f"{left / pages_per_second / 60:.1f} min" if pages_per_second else "unknown"
        share = 100 * ended / total if total else 0.0
        success = f"{100 * rate:.1f}%" if rate is not None else "unknown"
        return (
            f"{share:.1f}% ({ended}/{total}) | success {success} |"
            f" {items_per_second:.1f} items/s | ETA {eta}"
        )

    def log_end(self, kept: str | None, reason: str) -> None:
        """Status, counts, and the command that goes on."""
        job = self._run.session.job
        if kept is None:
            logger.error(
                "Job %s: its end (%s) could not be written. Run the same command again: it "
                "recovers the job.",
                job,
                reason,
            )
            return
        self._log()
        further = _FURTHER.get(kept, "run the same command again to go on")
        counts = self._run.tracker.counts
        logger.info(
            "Job %s is %s (%s): %d done, %d pending, %d failed, %d items; %s",
            job,
            kept,
            reason,
            counts.done,
            counts.open,
            counts.failed,
            counts.items_stored,
            further,
        )

    def set_stats(self) -> None:
        """Totals over all runs, from the store."""
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
        for name, value in totals.items():
            stats.set_value(f"resume/total/{name}", value)


def _counts(run: CrawlRun) -> str:
    counts = run.tracker.counts
    return (
        f"{counts.done} done, {counts.pending} pending, {counts.leased} in flight, "
        f"{counts.failed} failed, {counts.items_stored} items"
    )
