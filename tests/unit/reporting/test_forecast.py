from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.reporting.forecast import (
    UNKNOWN,
    Forecast,
    forecast_of,
    outlook,
    pages_by_minute,
    past,
)

START = 1_714_557_600.0


def minutes(*ended: int, opened: list[int] | None = None) -> list[dict[str, float]]:
    """A row for each minute from ``START`` on; ``opened``: what is open at the end of each."""
    at_the_end = opened or [1_000 - sum(ended[: at + 1]) for at in range(len(ended))]
    return [
        {
            "at": START + 60 * at,
            "pages": count,
            "items": 0,
            "done": count,
            "failed": 0,
            "ignored": 0,
            "open": rest,
        }
        for at, (count, rest) in enumerate(zip(ended, at_the_end, strict=True))
        if count
    ]


def after(count: int) -> float:
    return START + 60 * count


def test_a_steady_crawl_ends_when_it_seems_to() -> None:
    assert outlook(500, minutes(100, 100, 100, 100, 100), after(5)) == Forecast(300.0, 300.0)


def test_an_unsteady_crawl_has_a_range() -> None:
    soonest, latest = outlook(600, minutes(100, 100, 20, 100, 20, 60), after(6))
    assert soonest is not None
    assert latest is not None
    assert soonest == 360.0
    assert 1_000 < latest < 1_500


def test_a_crawl_that_finds_pages_takes_longer_than_what_is_known() -> None:
    found = minutes(100, 100, 100, 100, opened=[590, 580, 570, 560])
    assert outlook(560, found, after(4)) == Forecast(336.0, 3_360.0)


def test_a_crawl_that_finds_more_than_it_fetches_has_no_end_in_sight() -> None:
    found = minutes(100, 100, 100, 100, opened=[100, 200, 300, 400])
    assert outlook(400, found, after(4)) == Forecast(240.0, None)


@pytest.mark.parametrize("rows", [minutes(), minutes(100), minutes(100, 100)])
def test_a_young_crawl_tells_nothing(rows: list[dict[str, float]]) -> None:
    assert outlook(10, rows, after(2)) == UNKNOWN


def test_a_crawl_that_stands_still_tells_nothing() -> None:
    assert outlook(10, minutes(100, 100, 100), after(20)) == UNKNOWN


def test_without_anything_open_it_is_over() -> None:
    assert outlook(0, [], START) == Forecast(0.0, 0.0)


def test_the_present_minute_is_taken_for_a_whole_one_unless_it_is_young() -> None:
    rows = minutes(30, 60, 10)
    assert pages_by_minute(rows, after(2) + 20, 30) == [30.0, 60.0, 30.0]
    assert pages_by_minute(rows, after(2) + 5, 30) == [30.0, 60.0]


def test_silent_minutes_are_zeros_but_not_before_the_first() -> None:
    rows = minutes(30, 0, 10)
    assert pages_by_minute(rows, after(4) + 1, 30) == [30.0, 0.0, 10.0, 0.0]
    assert pages_by_minute(rows, after(4) + 1, 3) == [10.0, 0.0]
    assert pages_by_minute([], after(4), 30) == []


def answer(**more: Any) -> dict[str, Any]:
    counts = {"pending": 490, "leased": 10}
    known = {"status": "running", "requests": counts, "expected_total": None, "eta_seconds": 7.0}
    return {**known, **more}


def test_a_live_job_has_the_range_of_its_last_minutes() -> None:
    assert forecast_of(answer(), minutes(*[100] * 5), after(5)) == Forecast(300.0, 300.0)


def test_a_job_whose_spider_expects_a_total_has_the_eta_that_rests_on_it() -> None:
    expecting = answer(expected_total=1_000.0)
    assert forecast_of(expecting, minutes(*[100] * 5), after(5)) == Forecast(7.0, 7.0)


@pytest.mark.parametrize("status", ["paused", "crashed", "completed"])
def test_a_job_that_is_not_live_has_no_forecast(status: str) -> None:
    assert forecast_of(answer(status=status), minutes(*[100] * 5), after(5)) == UNKNOWN


def test_minutes_in_the_future_say_nothing_about_the_present() -> None:
    """They were counted while the clock was fast."""
    found = minutes(100, 100, 100, 100, 100)
    assert pages_by_minute(found, START - 18_000, 10) == []
    assert outlook(500, found, START - 18_000) == UNKNOWN
    assert past(found, after(2)) == found[:3]
    assert past(found, START - 1) == []
