"""One rate and one ETA for the log, the screens and ``--json``; see ``reporting/rates.py``."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scrapy_resume.model import Counts, JobKey, JobSummary
from scrapy_resume.reporting.rates import Rates, Throughput

BEGAN = 1_700_000_000.0
NOW = BEGAN + 3_600
LIVE = JobSummary(
    key=JobKey("books", 1),
    spider="books",
    status="running",
    reason=None,
    alive=True,
    owner="host:7",
    owned_since=BEGAN,
    created_at=BEGAN,
    updated_at=BEGAN,
    completed_at=None,
    counts=Counts(pending=90, leased=10, done=100),
)
PAUSED = replace(LIVE, status="paused", reason="shutdown", alive=False)


def run(number: int, began: float, ended: float | None, pages: int, **more: Any) -> dict[str, Any]:
    """A run from and to so many seconds after ``BEGAN``."""
    return {
        "number": number,
        "started_at": BEGAN + began,
        "beat_at": BEGAN + began,
        "ended_at": None if ended is None else BEGAN + ended,
        "pages": pages,
        "items": 3 * pages,
        **more,
    }


def test_the_rate_of_a_live_run_is_what_it_committed_since_it_opened_the_job() -> None:
    rates = Rates(LIVE, [run(1, 0, 60, 999), run(2, 3_000, None, 50)], NOW)
    assert rates.throughput == Throughput(50, 150, 600.0)
    assert rates.throughput.pages_per_minute == 5.0
    assert rates.throughput.items_per_minute == 15.0
    assert rates.elapsed_seconds == 660.0


def test_workers_at_the_same_time_add_up_and_their_time_counts_once() -> None:
    runs = [run(1, 3_000, None, 50, alive=True), run(2, 3_300, None, 70, alive=True)]
    assert Rates(LIVE, runs, NOW).throughput == Throughput(120, 360, 600.0)


def test_the_rate_of_a_job_at_rest_is_that_of_all_its_runs_without_the_time_between() -> None:
    rates = Rates(PAUSED, [run(1, 0, 60, 10), run(2, 1_000, 1_060, 30)], NOW)
    assert rates.throughput == Throughput(40, 120, 120.0)
    assert (rates.eta_seconds, rates.eta_basis) == (None, None)


def test_a_run_that_died_lasted_until_its_last_heartbeat() -> None:
    crashed = replace(LIVE, alive=False)
    rates = Rates(crashed, [run(1, 0, None, 10, beat_at=BEGAN + 30)], NOW)
    assert rates.throughput.seconds == rates.elapsed_seconds == 30.0


def test_the_eta_is_what_is_left_at_that_rate() -> None:
    rates = Rates(LIVE, [run(1, 3_000, None, 50)], NOW)
    assert (rates.eta_seconds, rates.eta_basis) == (1_200.0, "known")


@pytest.mark.parametrize(("expected", "eta"), [(1_000.0, 10_800.0), (150.0, 1_200.0)])
def test_an_expected_total_counts_where_it_is_more_than_what_is_known(
    expected: float, eta: float
) -> None:
    expecting = replace(LIVE, expected_total=expected)
    rates = Rates(expecting, [run(1, 3_000, None, 50)], NOW)
    assert (rates.eta_seconds, rates.eta_basis) == (eta, "expected_total")


def test_before_the_first_page_there_is_no_eta_and_before_time_passes_no_rate() -> None:
    rates = Rates(LIVE, [run(1, 3_600, None, 0)], NOW)
    assert (rates.throughput.pages_per_minute, rates.throughput.items_per_minute) == (None, None)
    assert (rates.eta_seconds, rates.eta_basis) == (None, None)
    assert Throughput(0, 0, 5.0).eta_seconds(10) is None


def test_a_completed_job_has_nothing_left() -> None:
    completed = replace(PAUSED, status="completed")
    assert Rates(completed, [run(1, 0, 60, 10)], NOW).eta_seconds == 0.0


def test_a_live_run_has_lasted_until_now_by_the_clock_of_its_store() -> None:
    ahead = 18_000.0
    live = run(1, ahead, None, 50, now=BEGAN + ahead + 600)
    assert Rates(LIVE, [live], NOW).elapsed_seconds == 600.0
    assert Rates(LIVE, [live], NOW).throughput.pages_per_minute == 5.0


def test_a_run_that_began_in_the_future_has_no_negative_time() -> None:
    for began, ended in ((18_000, None), (18_000, 10)):
        rates = Rates(LIVE, [run(1, began, ended, 50)], NOW)
        assert rates.elapsed_seconds == 0.0
        assert rates.throughput.pages_per_minute is None
        assert rates.eta_seconds is None


@pytest.mark.parametrize(
    ("pending", "steps_open", "seconds"),
    [(0, 5, None), (0, 0, 0.0), (100, 5, 1_200.0)],
)
def test_how_long_steps_take_is_not_known(
    pending: int, steps_open: int, seconds: float | None
) -> None:
    counts = Counts(pending=pending, done=100, steps_open=steps_open)
    live = replace(LIVE, counts=counts)
    assert Rates(live, [run(1, 3_000, None, 50)], NOW).eta_seconds == seconds
