"""What happened in a job, in spans of some minutes: the columns of a plot. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.times import iso, seconds_of

SPANS_AT_MOST: Final = 120
"""In one plot."""

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480)
"""Minutes in a span. The last one times ``SPANS_AT_MOST`` is longer than the longest plot."""


def end_of(answer: Mapping[str, Any], now: float) -> float:
    """Until when something can have happened in a job: now, or when its last run ended."""
    if answer["status"] in LIVE_STATUSES:
        return now
    ends = [seconds_of(run["ended_at"]) + 1 for run in answer["runs"] if run["ended_at"]]
    return min(now, max([*ends, seconds_of(answer["updated_at"]) + 1]))


def span_minutes(minutes: Sequence[Mapping[str, Any]], now: float | None) -> int:
    """Minutes in a span: the fewest with which a plot has no more than ``SPANS_AT_MOST``.

    ``now``: the plot of a live job ends now, that of another job with its last minute (``None``).
    """
    if not minutes:
        return 1
    shown = ((now or minutes[-1]["at"]) - minutes[0]["at"]) / 60 + 1
    return next((step for step in _STEPS if shown / step < SPANS_AT_MOST), _STEPS[-1])


def spans_of(
    minutes: Sequence[Mapping[str, Any]], step: int, end: float
) -> Iterator[dict[str, Any]]:
    """What happened in each span, in order. In a span without a minute all counts are 0, and
    ``open`` is that of the span before. ``seconds``: how much of the span had passed at ``end``,
    which is less than the whole for the last span mostly."""
    names = ("pages", "items", "done", "failed", "ignored")
    seconds = 60 * step
    found: dict[int, dict[str, Any]] = {}
    for row in minutes:
        span = found.setdefault(int(row["at"] // seconds), dict.fromkeys(names, 0))
        for name in names:
            span[name] += row[name]
        span["open"] = row["open"]
    still_open = 0
    for at in range(min(found, default=0), max(found, default=-1) + 1):
        span = found.get(at) or {**dict.fromkeys(names, 0), "open": still_open}
        still_open = span["open"]
        passed = min(max(end - at * seconds, 1.0), float(seconds))
        yield {"at": iso(at * seconds), "seconds": round(passed), **span}
