"""What the last minutes say of a crawl: its pace, and how long it may still take. No I/O.

A *minute* is a row of ``Reports.minutes``: silent minutes have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

MINUTE: Final = 60.0
FEWEST_MINUTES: Final = 3
"""Whole minutes without which nothing is said about the time to come."""
WINDOW_MINUTES: Final = 15
"""How far the look back goes for it: older minutes tell of another part of the site."""
YOUNG_SECONDS: Final = 10.0
"""A minute that began less than this ago tells nothing yet."""


class Forecast(NamedTuple):
    """How long a crawl may still take, if it goes on as in the last minutes. In seconds."""

    soonest: float | None
    """``None``: nothing tells."""
    latest: float | None
    """``None``: no end is in sight, because it finds requests as fast as it ends them, or stood
    still in a good part of the time."""


UNKNOWN: Final = Forecast(None, None)


def whole(answer: Mapping[str, Any]) -> int:
    """How many requests make the whole of a job: those that are known, or as many as its spider
    expects, if that is more. ``answer`` is a document of ``status --json``."""
    return max(int(answer["requests"]["total"]), int(answer["expected_total"] or 0))


def pages_by_minute(minutes: Sequence[Mapping[str, Any]], now: float, count: int) -> list[float]:
    """Pages in each of the last minutes, the oldest first, at most ``count``.

    Silent minutes are zeros, but not before the first of ``minutes``. The present minute is
    taken for as much as a whole one would have, or left out where it has just begun.
    """
    present = int(now // MINUTE)
    pages = {int(row["at"] // MINUTE): row["pages"] for row in minutes}
    first = max(present - count + 1, min(pages, default=present))
    series = [float(pages.get(minute, 0)) for minute in range(first, present)]
    passed = now - present * MINUTE
    if passed >= YOUNG_SECONDS and (series or pages.get(present)):
        series.append(pages.get(present, 0) * MINUTE / passed)
    return series


def outlook(open_count: int, minutes: Sequence[Mapping[str, Any]], now: float) -> Forecast:
    """How long ``open_count`` requests may take, and what is found beside them.

    From the quarter of the last whole minutes that were fastest to the quarter that were
    slowest; and if the open requests got fewer more slowly than that because new ones were
    found, at that rate.
    """
    if not open_count:
        return Forecast(0.0, 0.0)
    present = int(now // MINUTE)
    rows = {int(row["at"] // MINUTE): row for row in minutes}
    first = max(present - WINDOW_MINUTES, min(rows, default=present))
    span = range(first, present)
    if len(span) < FEWEST_MINUTES:
        return UNKNOWN
    from statistics import quantiles  # with what it loads it takes a while

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
    """By how many a minute the open requests got fewer since the end of the first of them."""
    passed = (now - rows[0]["at"]) / MINUTE - 1
    return (rows[0]["open"] - open_count) / passed if passed >= 1 else float("inf")


def _ended(row: Mapping[str, Any]) -> int:
    return int(row["done"] + row["failed"] + row["ignored"])
