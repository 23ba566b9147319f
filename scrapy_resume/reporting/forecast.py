"""How steady a live crawl is, minute by minute: its pace, and the range of its ETA. No I/O.

The ETA itself (``eta``) rests on the average over a whole run. Seen minute by minute, it becomes a
range, which shows how unsteady the crawl is and whether it still discovers requests. A *minute* is
a row of ``Reports.minutes``; minutes in which nothing happened have no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.model import LIVE_STATUSES

MINUTE: Final = 60.0
FEWEST_MINUTES: Final = 3
"""Without so many whole minutes there is no range."""
WINDOW_MINUTES: Final = 15
"""How many of the last minutes the range rests on: older ones belong to another part of the
site."""
YOUNG_SECONDS: Final = 10.0
"""A minute that began less than this ago is not extrapolated."""


class Forecast(NamedTuple):
    """How long a crawl may still take, in seconds."""

    soonest: float | None
    """``None``: too little is known."""
    latest: float | None
    """``None`` beside a ``soonest``: no end is in sight, because the crawl discovers requests as
    fast as it finishes them, or stood still in a good part of the last minutes."""


UNKNOWN: Final = Forecast(None, None)


def forecast_of(
    answer: Mapping[str, Any], minutes: Sequence[Mapping[str, Any]], now: float
) -> Forecast:
    """The forecast for a job, as ``status`` and ``report`` show it.

    ``answer`` is its document of ``status --json``. If the spider says how many pages it expects,
    the forecast is ``eta_seconds``; otherwise it is the range that ``outlook`` gives. Only a live
    job has a forecast.
    """
    if answer["status"] not in LIVE_STATUSES:
        return UNKNOWN
    if answer["expected_total"] is not None:
        return Forecast(answer["eta_seconds"], answer["eta_seconds"])
    counts = answer["requests"]
    open_count = counts["pending"] + counts["leased"]
    if not open_count and answer["eta_seconds"] is None:
        return UNKNOWN  # only steps of items are left
    return outlook(open_count, minutes, now)


def pages_by_minute(minutes: Sequence[Mapping[str, Any]], now: float, count: int) -> list[float]:
    """Pages in each of the last minutes, oldest first, at most ``count`` of them.

    Minutes without a row are zeros, except before the first of ``minutes``. The present minute is
    extrapolated to a whole one, or left out if it has just begun.
    """
    present = int(now // MINUTE)
    pages = {int(row["at"] // MINUTE): row["pages"] for row in minutes}
    first = max(present - count + 1, min(pages, default=present))
    series = [float(pages.get(minute, 0)) for minute in range(first, present)]
    if shows_present_minute(now) and (series or pages.get(present)):
        series.append(pages.get(present, 0) * MINUTE / (now - present * MINUTE))
    return series


def shows_present_minute(now: float) -> bool:
    """Whether the present minute is old enough to be extrapolated to a whole one."""
    return now % MINUTE >= YOUNG_SECONDS


def past(minutes: Sequence[Mapping[str, Any]], now: float) -> Sequence[Mapping[str, Any]]:
    """The minutes that have begun. Others were counted while a clock was fast: when what they
    count happened is not known."""
    return [row for row in minutes if row["at"] <= now]


def outlook(open_count: int, minutes: Sequence[Mapping[str, Any]], now: float) -> Forecast:
    """How long ``open_count`` open requests may take, with what the crawl discovers meanwhile.

    ``soonest`` assumes the speed of the fastest quarter of the last whole minutes, ``latest`` that
    of the slowest quarter. If the number of open requests fell more slowly than that, because new
    ones were discovered, ``latest`` assumes that it goes on falling as slowly.
    """
    if not open_count:
        return Forecast(0.0, 0.0)
    present = int(now // MINUTE)
    rows = {int(row["at"] // MINUTE): row for row in minutes}
    first = max(present - WINDOW_MINUTES, min(rows, default=present))
    span = range(first, present)
    if len(span) < FEWEST_MINUTES:
        return UNKNOWN
    from statistics import quantiles  # slow to import: only a live job needs it

    ended = [_ended(rows[minute]) if minute in rows else 0 for minute in span]
    slow, _, fast = quantiles(ended, n=4, method="inclusive")
    if fast <= 0:
        return UNKNOWN
    soonest = open_count / fast * MINUTE
    slowest = min(slow, _shrinking(open_count, [rows[m] for m in span if m in rows], now))
    if slowest <= 0:
        return Forecast(soonest, None)
    return Forecast(soonest, max(soonest, open_count / slowest * MINUTE))


def _shrinking(open_count: int, rows: Sequence[Mapping[str, Any]], now: float) -> float:
    """By how many per minute the open requests have become fewer since the end of the first
    row's minute; infinite if that is less than a minute ago."""
    passed = (now - rows[0]["at"]) / MINUTE - 1
    return (rows[0]["open"] - open_count) / passed if passed >= 1 else float("inf")


def _ended(row: Mapping[str, Any]) -> int:
    return int(row["done"] + row["failed"] + row["ignored"])
