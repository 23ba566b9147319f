"""How fast a job goes: one definition for the log, the progress bar, every screen and ``--json``.

The **rate** of some runs is the number of pages (responses) and of items that they have committed,
divided by the time during which at least one of them was under way. A run is under way from the
moment it opened the job until it ended; a live run until now; a run that died until its last
heartbeat. Time between runs does not count.

The rate of a *job* is that of its live runs, each since it opened the job. If no run is live, it is
that of all runs together. It is an average and therefore steady; how the speed changes from minute
to minute is shown by ``forecast.pages_by_minute``, and the range of the ETA follows from that.

The ETA follows from it: see ``forecast``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.model import JobSummary
from scrapy_resume.reporting.forecast import eta_seconds
from scrapy_resume.reporting.progress import ended_and_whole

MINUTE_SECONDS: Final = 60


class Throughput(NamedTuple):
    """What some runs have committed, and how long they took for it."""

    pages: int
    items: int
    seconds: float
    """During which at least one of the runs was under way."""

    @property
    def pages_per_minute(self) -> float | None:
        """Rounded to two digits; ``None`` if no time has passed."""
        return _per_minute(self.pages, self.seconds)

    @property
    def items_per_minute(self) -> float | None:
        """As ``pages_per_minute``."""
        return _per_minute(self.items, self.seconds)

    def eta_seconds(self, left: int) -> float | None:
        """How long ``left`` requests take at this rate; ``None`` before the first page."""
        return eta_seconds(left, self.pages, self.seconds)


class Rates:
    """The rate of a job, its ETA, and the time that its runs took, from what the store kept."""

    def __init__(self, summary: JobSummary, runs: Sequence[Mapping[str, Any]], now: float) -> None:
        """``runs``: as ``Reader.runs`` gives them; ``now``: seconds since the epoch, unless the
        store's clock is another one, whose time the runs have."""
        live = [run for run in runs if is_live(run, runs, summary)]
        live_numbers = {run["number"] for run in live}
        spans = {
            run["number"]: _span(
                run, run.get("now", now) if run["number"] in live_numbers else None
            )
            for run in runs
        }
        counted = live or runs
        self.elapsed_seconds = _covered(spans.values())
        """During which at least one run, of all that there were, was under way."""
        self.throughput = Throughput(
            pages=sum(run["pages"] for run in counted),
            items=sum(run["items"] for run in counted),
            seconds=_covered(spans[run["number"]] for run in counted),
        )
        self.eta_seconds = self._eta_seconds(summary)
        """0 for a completed job; ``None`` unless a run is live and has fetched a page."""
        self.eta_basis: str | None = None
        """``expected_total`` or ``known``; ``None`` without an ETA."""
        if self.eta_seconds is not None:
            self.eta_basis = "known" if summary.expected_total is None else "expected_total"

    def _eta_seconds(self, summary: JobSummary) -> float | None:
        if summary.status == "completed":
            return 0.0
        if not summary.alive:
            return None
        ended, whole = ended_and_whole(summary.counts, summary.expected_total)
        return self.throughput.eta_seconds(whole - ended)


def is_live(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], summary: JobSummary) -> bool:
    """Whether the run is under way. A shared store says so of each run; elsewhere only the last
    run of a job that has a live owner can be."""
    return bool(run.get("alive", summary.alive and run is runs[-1]))


def _per_minute(amount: int, seconds: float) -> float | None:
    return round(MINUTE_SECONDS * amount / seconds, 2) if seconds > 0 else None


def _span(run: Mapping[str, Any], now: float | None) -> tuple[float, float]:
    """(start, end) of a run; ``now``: only for a live one."""
    began = float(run["started_at"])
    end = run["ended_at"] or now or run.get("beat_at") or began
    return began, max(began, float(end))


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that lie in at least one of the spans."""
    total, until = 0.0, float("-inf")
    for began, end in sorted(spans):
        total += max(0.0, end - max(began, until))
        until = max(until, end)
    return total
