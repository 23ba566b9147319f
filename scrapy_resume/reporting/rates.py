"""How fast a job went, and how long it will take: from its runs, as the store tells of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scrapy_resume.model import JobSummary


class Rates:
    """How fast a job went, from its runs."""

    def __init__(self, summary: JobSummary, runs: Sequence[Mapping[str, Any]]) -> None:
        now = time.time()
        self._summary = summary
        live = [run for run in runs if is_live(run, runs, summary)]
        self._telling = live or runs
        self._spans = {
            run["number"]: _span(run, now if any(run is other for other in live) else None)
            for run in runs
        }
        self.elapsed_seconds = _covered(self._spans.values())

    def per_minute(self, what: str) -> float | None:
        """``pages`` or ``items`` a minute; ``None`` if no time has passed."""
        seconds = _covered([self._spans[run["number"]] for run in self._telling])
        if seconds <= 0:
            return None
        amount: int = sum(run[what] for run in self._telling)
        return round(60 * amount / seconds, 2)

    def eta_seconds(self) -> float | None:
        """Until what is known, or expected, is fetched; ``None`` if nothing tells."""
        if self._summary.status == "completed":
            return 0.0
        pages_per_minute = self.per_minute("pages") if self._summary.alive else None
        if not pages_per_minute:
            return None
        counts, expected = self._summary.counts, self._summary.expected_total
        left = counts.open
        if expected is not None:
            left = max(left, int(expected) - (counts.total - counts.open))
        return round(60 * left / pages_per_minute, 1)

    def eta_basis(self) -> str | None:
        """``expected_total``, or ``known``: the requests that are known now."""
        if self.eta_seconds() is None:
            return None
        return "known" if self._summary.expected_total is None else "expected_total"


def is_live(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], summary: JobSummary) -> bool:
    """A store of many workers says so of each run; otherwise it can be the last one only."""
    return bool(run.get("alive", summary.alive and run is runs[-1]))


def _span(run: Mapping[str, Any], now: float | None) -> tuple[float, float]:
    """From when to when; a run that died has lasted until its last heartbeat."""
    began = float(run["started_at"])
    end = run["ended_at"] or now or run.get("beat_at") or began
    return began, max(began, float(end))


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of them was under way."""
    total, until = 0.0, float("-inf")
    for began, end in sorted(spans):
        total += max(0.0, end - max(began, until))
        until = max(until, end)
    return total
