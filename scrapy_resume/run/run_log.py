"""What the log, the stats and the progress bar say of a run.

A progress line is logged every RESUME_PROGRESS_EVERY pages, or items if they come to as many
earlier, and at least once a minute.
Its numbers are those that ``scrapy resume status`` shows at the same moment: what is committed, at
the rate that ``reporting.rates`` defines.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Final

from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.errors import JobDeletedError
from scrapy_resume.reporting.nouns import CRAWL_NOUNS, Nouns
from scrapy_resume.reporting.progress import (
    LineSchedule,
    Progress,
    counts_at_end,
    ended_and_whole,
    skipped_at_end,
    steps_at_end,
    steps_of,
)
from scrapy_resume.reporting.progress_bar import ProgressBar, is_wanted
from scrapy_resume.reporting.rates import Throughput, covered_seconds
from scrapy_resume.reporting.unit_progress import unit_progress, units_worth
from scrapy_resume.run.refuse import tell_without_log
from scrapy_resume.run.unit_log import UnitLog, units_in_work
from scrapy_resume.settings.masking import masked_text, without_password
from scrapy_resume.wording import counted, counted_are

if TYPE_CHECKING:
    from scrapy.utils.asyncio import AsyncioLoopingCall
    from twisted.internet.task import LoopingCall

    from scrapy_resume.model import Counts
    from scrapy_resume.run.crawl_run import CrawlRun
    from scrapy_resume.store.contract import Batch, Committed, Session

logger = logging.getLogger("scrapy_resume")

PROGRESS_TICK_SECONDS: Final = 1.0
"""How often the bar is redrawn, and it is checked whether a progress line is due."""

_NEXT_STEP: Final = {
    "completed": "the same command begins the next number",
    "steps_hang": "do what the error above says, then run the same command again",
    "step_missing": "do what the error above says, then run the same command again",
    "callback_missing": "do what the error above says, then run the same command again",
}
"""What happens after a run, by the reason for its end or the status of its job."""


class RunLog:
    """Reports on one run: its start, its progress, its end.

    It is a ``CommitListener``, because the rate counts what is committed.
    """

    nouns: ClassVar[Nouns] = CRAWL_NOUNS

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        self._clock = run.parts.clock
        self._schedule = LineSchedule(run.settings.progress_every, run.opened_at)
        self._pages = 0
        self._items = 0
        before = run.session.progress
        self._units, self._unit_pages = before.units, before.unit_pages
        """Named units that have ended, in runs before too, and their pages."""
        self._named_pages = 0
        self._unit_log = UnitLog(self._clock)
        self._feeds_before = sorted({note.feed for note in run.session.feeds})
        """Feeds that runs before this one have written."""
        self._changes_items = False
        """This run has stored items, or taken some back."""
        self._counts_before = run.session.counts
        """Those of the job when this run opened it."""
        self._bar: ProgressBar | None = None
        if run.settings.progress_bar and is_wanted(run.crawler.settings):
            self._bar = ProgressBar(str(run.session.job))
        self._ticking = self.looping_call()
        run.listeners.add(self)

    def looping_call(self) -> LoopingCall | AsyncioLoopingCall:
        """What calls ``_tick`` while the run lasts."""
        return create_looping_call(self._tick)

    # ---- as a listener of commits

    def committed(self, batch: Batch, answer: Committed) -> None:
        """Count what the store has accepted of this run."""
        self._pages = batch.progress.pages
        self._items += answer.items.given
        superseded = answer.items.superseded != self._run.session.items.superseded
        self._changes_items |= bool(answer.items.given) or superseded
        self._units += len(answer.units)
        self._unit_pages += sum(unit.pages for unit in answer.units)
        self._named_pages += answer.named_pages
        self._unit_log.ended(answer.units)

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
        self._unit_log.say_rest()
        if self._bar is not None:
            self._bar.clear()

    def _tick(self) -> None:
        self._unit_log.tick()
        if self._schedule.is_due(self._clock.monotonic()):
            self._log()
        if self._bar is not None:
            self._bar.draw(self._run.tracker.counts, self._progress())

    def count_page(self) -> None:
        """Count a page; log progress if a line is due."""
        if self.page_makes_line_due():
            self._log()

    def page_makes_line_due(self) -> bool:
        """Count a page. Whether a progress line is due."""
        return self._schedule.page()

    def count_item(self) -> None:
        """Count an item; log progress if a line is due."""
        if self._schedule.item():
            self._log()

    def log_start(self) -> None:
        """Log which job is opened, whether it is new, resumed or recovered, and its counts."""
        run, session = self._run, self._run.session
        how = "is resumed"
        if session.began:
            how = "begins"
        elif session.sharing.others:
            others = counted(session.sharing.others, "other")
            how = f"is joined by this worker, beside {others}"
        if session.taken_over:
            how = "is taken over by force (RESUME_FORCE) from a live process, which is fenced"
        elif session.crashed:
            how = f"{how} after a crash ({self._were_in_flight(session)})"
        logger.log(
            logging.WARNING if session.crashed else logging.INFO,
            "Job %s %s, run %d, in %s: %s",
            session.job,
            how,
            session.run,
            without_password(run.settings.store),
            _counts(run),
        )
        if session.recovered.parked:
            logger.warning(
                "%s parked: the process died each time it ran, the last time while nothing else "
                "was running",
                counted_are(session.recovered.parked, self.nouns.request),
            )
        stats = run.crawler.stats
        assert stats is not None
        stats.set_value("resume/job", str(session.job))
        stats.set_value("resume/run", session.run)
        stats.set_value("resume/crashed", session.crashed)
        stats.set_value("resume/recovered", session.recovered.requests)
        stats.set_value("resume/parked", session.recovered.parked)

    def _were_in_flight(self, session: Session) -> str:
        count, nouns = session.recovered.in_flight, self.nouns
        # What was sent since the last commit of a worker, a database does not know.
        known = "known to be " if session.sharing.shared else ""
        verb = "was" if count == 1 else "were"
        return f"{counted(count, nouns.request)} {verb} {known}{nouns.in_flight}"

    def _log(self) -> None:
        self._schedule.logged(self._clock.monotonic())
        logger.info("%s", self._progress().line())

    def _progress(self) -> Progress:
        run = self._run
        counts, expected_total = run.tracker.counts, run.parts.custom_stats.expected_total
        ended, whole = ended_and_whole(counts, expected_total)
        throughput = self._throughput(counts).since_opened(self._earlier())
        units = unit_progress(run.named_units or {})
        eta = throughput.eta(counts, expected_total, units)
        return Progress(
            ended=ended,
            whole=whole,
            success_rate=counts.success_rate,
            items_per_minute=throughput.items_per_minute,
            eta_seconds=eta.seconds,
            eta_basis=eta.basis,
            units=units,
            units_per_hour=throughput.units_per_hour,
            steps=steps_of(run.parts.steps.counts),
            working_on=units_in_work(run.parts.dispatcher.dispatched),
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
        seconds = self._clock.monotonic() - self._run.opened_at
        units = units_worth(self._named_pages, self._units, self._unit_pages)
        return Throughput(pages, items, seconds, units)

    def _earlier(self) -> Throughput:
        """Of the runs before."""
        before = self._run.session.progress
        units = units_worth(before.named_pages, self._units, self._unit_pages)
        return Throughput(before.pages, before.items, covered_seconds(before.spans), units)

    def log_end(self, kept: str | None, reason: str) -> None:
        """Log the status, the counts, and what the next crawl will do.

        ``kept``: the status that was stored; ``None`` if the end could not be stored.
        """
        job = self._run.session.job
        if kept is None:
            remedy = "Run the same command again to recover the job."
            if isinstance(self._run.shutdown.failure, JobDeletedError):
                remedy = "The job is gone from the store."
            line = f"Job {job}: the end of the run ({reason}) could not be stored. {remedy}"
            logger.error("%s", line)
            tell_without_log(self._run.crawler.settings, line)
            return
        self._log()
        lost = self._run.parts.items.not_recordable
        if lost:
            page = self.nouns.page
            logger.error(
                "%s could not be serialized and %s not stored: 'scrapy resume failed' says why. "
                "When that is mended, 'scrapy resume retry' %s %s again.",
                counted(lost, "item"),
                "is" if lost == 1 else "are",
                "fetches" if self.nouns.has_http else "does",
                f"its {page}" if lost == 1 else f"their {page}s",
            )
        self._warn_of_other_feeds()
        self._warn_of_wanting_steps()
        tracker = self._run.tracker
        again = _NEXT_STEP.get(kept, "run the same command again to resume it")
        if kept == "running":
            again = f"other workers are still {self.nouns.work} it"
        next_step = _NEXT_STEP.get(reason, again)
        steps = self._run.parts.steps.counts
        ending = counts_at_end(tracker.counts) + steps_at_end(steps)
        ending += skipped_at_end(tracker.skipped_count)
        line = f"Job {job} is {kept} ({reason}): {ending}; {next_step}"
        logger.info("%s", line)
        counts = tracker.counts
        lost_any = counts.failed or counts.parked or counts.items_failed
        if kept != "completed" or lost_any or steps_at_end(steps):
            tell_without_log(self._run.crawler.settings, line)

    def _warn(self, line: str) -> None:
        logger.warning("%s", line)
        tell_without_log(self._run.crawler.settings, line)

    def _warn_of_wanting_steps(self) -> None:
        for name, count, needs in self._run.parts.steps.wanting:
            self._warn(
                f"Step {name} was run for none of {counted(count, 'item')}: all of them were"
                f" skipped, most likely since they have no {' or '.join(needs)}, which it needs."
                f" Is the name right? 'scrapy resume items --step {name}' shows them."
            )

    def _warn_of_other_feeds(self) -> None:
        """What earlier runs have written is not what the job has now if this run does not write
        it."""
        feeds = self._run.listeners.feeds
        others = [name for name in self._feeds_before if feeds is None or not feeds.knows(name)]
        if others and self._changes_items:
            names = ", ".join(masked_text(name) for name in others)
            lack = "is no feed of this run, and lacks"
            if len(others) > 1:
                lack = "are no feeds of this run, and lack"
            self._warn(
                f"{names} {lack} what it has changed: 'scrapy resume export"
                f" {self._run.session.job} -o FILE' writes all items of the job. Name its feeds in"
                " each run, best in FEEDS."
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
    steps = f", {counted(counts.steps_open, 'step')} pending" if counts.steps_open else ""
    return (
        f"{counts.done} done, {counts.pending} pending, {counts.leased} in flight, "
        f"{counts.failed} failed, {counted(counts.items_stored, 'item')}{steps}"
    )
