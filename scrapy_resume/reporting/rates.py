"""How fast a job goes: one definition for the log, the progress bar, every screen and ``--json``.

The **rate** of some runs is the number of pages (responses), of items and of named units that they
have committed, divided by the time during which at least one of them was under way. A run is under
way from the moment it opened the job until it ended; a live run until now; a run that died until
its last heartbeat. Time between runs does not count.

The rate of a *job* is that of its live runs, each since it opened the job. If no run is live, it is
that of all runs together. In the first minute of the live runs, what is missing of that minute is
made up from the runs before (``since_opened``): so the rate is steady when a crawl goes on. It is
an average; how the speed changes from minute to minute is shown by ``forecast.pages_by_minute``.

The ETA follows from it: see ``eta``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Counts, JobSummary
from scrapy_resume.reporting.eta import EXPECTED, KNOWN, UNITS, Eta, seconds_left
from scrapy_resume.reporting.progress import ended_and_whole
from scrapy_resume.reporting.unit_progress import UnitProgress, units_worth

MINUTE_SECONDS: Final = 60
HOUR_SECONDS: Final = 3_600

WARM_UP_SECONDS: Final = 60.0
"""Within this time the runs before count for the rate of a live run."""

Span = tuple[float, float]


class Throughput(NamedTuple):
    """What some runs have committed, and how long they took for it."""

    pages: float
    items: float
    seconds: float
    """During which at least one of the runs was under way."""
    units: float = 0
    """Named units; those in work by the part of them that is done (``units_worth``)."""

    @property
    def pages_per_minute(self) -> float | None:
        """Rounded to two digits; ``None`` if no time has passed."""
        return _per(MINUTE_SECONDS, self.pages, self.seconds)

    @property
    def items_per_minute(self) -> float | None:
        """As ``pages_per_minute``."""
        return _per(MINUTE_SECONDS, self.items, self.seconds)

    @property
    def units_per_hour(self) -> float | None:
        """Rounded to two digits; ``None`` if no time has passed, or before the first has ended."""
        return _per(HOUR_SECONDS, self.units, self.seconds) if self.units else None

    def since_opened(self, earlier: Throughput) -> Throughput:
        """This one of live runs, with as much of the runs before as is missing of a minute."""
        missing = min(max(0.0, WARM_UP_SECONDS - self.seconds), earlier.seconds)
        if missing <= 0:
            return self
        share = missing / earlier.seconds
        return Throughput(
            pages=self.pages + share * earlier.pages,
            items=self.items + share * earlier.items,
            seconds=self.seconds + missing,
            units=self.units + share * earlier.units,
        )

    def eta(
        self, counts: Counts, expected_total: float | None, units: UnitProgress | None = None
    ) -> Eta:
        """When a job with these requests, and these named units, may end at this rate. If only
        steps of items are left, that is not known."""
        ended, whole = ended_and_whole(counts, expected_total)
        if counts.steps_open and whole <= ended:
            return Eta()
        known = seconds_left(whole - ended, self.pages, self.seconds)
        if expected_total is not None:
            return Eta() if known is None else Eta(known, EXPECTED)
        waiting = units and seconds_left(units.waiting, self.units, self.seconds)
        if waiting and waiting > (known or 0.0):
            return Eta(waiting, UNITS)
        return Eta() if known is None else Eta(known, KNOWN)

    def eta_seconds(self, left: int) -> float | None:
        """How long ``left`` requests take at this rate; ``None`` before the first page."""
        return seconds_left(left, self.pages, self.seconds)


class Rates:
    """The rate of a job, its ETA, and the time that its runs took, from what the store kept."""

    def __init__(
        self,
        summary: JobSummary,
        runs: Sequence[Mapping[str, Any]],
        now: float,
        units: UnitProgress | None = None,
    ) -> None:
        """``runs``: as ``Reader.runs`` gives them; ``now``: seconds since the epoch, unless the
        store's clock is another one, whose time the runs have."""
        live = {run["number"] for run in runs if is_live(run, runs, summary)}
        spans = {
            run["number"]: _span(run, run.get("now", now) if run["number"] in live else None)
            for run in runs
        }
        self.elapsed_seconds = covered_seconds(spans.values())
        """During which at least one run, of all that there were, was under way."""
        at_work = [run for run in runs if run["number"] in live]
        before = [run for run in runs if run["number"] not in live]
        of_unit = _sum(runs, "units"), _sum(runs, "unit_pages")
        earlier = _throughput(before, spans, of_unit)
        now_at_work = _throughput(at_work, spans, of_unit)
        self.throughput = now_at_work.since_opened(earlier) if live else earlier
        self.eta = self._eta(summary, units)
        """0 s for a completed job; unknown unless a run is live and has fetched a page."""

    @property
    def eta_seconds(self) -> float | None:
        """See ``eta``."""
        return self.eta.seconds

    @property
    def eta_basis(self) -> str | None:
        """See ``Eta.basis``."""
        return self.eta.basis

    def _eta(self, summary: JobSummary, units: UnitProgress | None) -> Eta:
        if summary.status == "completed":
            basis = KNOWN if summary.expected_total is None else EXPECTED
            return Eta(0.0, basis)
        if not summary.alive:
            return Eta()
        return self.throughput.eta(summary.counts, summary.expected_total, units)


def is_live(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], summary: JobSummary) -> bool:
    """Whether the run is under way. A shared store says so of each run; elsewhere only the last
    run of a job that has a live owner can be."""
    return bool(run.get("alive", summary.alive and run is runs[-1]))


def covered_seconds(spans: Iterable[Span]) -> float:
    """Seconds that lie in at least one of the spans (start, end)."""
    total, until = 0.0, float("-inf")
    for began, end in sorted(spans):
        total += max(0.0, end - max(began, until))
        until = max(until, end)
    return total


def _throughput(
    runs: Sequence[Mapping[str, Any]], spans: Mapping[int, Span], of_unit: tuple[int, int]
) -> Throughput:
    """``of_unit``: named units that have ended, and their pages."""
    return Throughput(
        pages=_sum(runs, "pages"),
        items=_sum(runs, "items"),
        seconds=covered_seconds(spans[run["number"]] for run in runs),
        units=units_worth(_sum(runs, "named_pages"), *of_unit),
    )


def _sum(runs: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(run.get(name, 0) for run in runs)


def _per(seconds: int, amount: float, passed: float) -> float | None:
    return round(seconds * amount / passed, 2) if passed > 0 else None


def _span(run: Mapping[str, Any], now: float | None) -> Span:
    """(start, end) of a run; ``now``: only for a live one."""
    began = float(run["started_at"])
    end = run["ended_at"] or now or run.get("beat_at") or began
    return began, max(began, float(end))
