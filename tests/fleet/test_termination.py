"""Small crawls: workers know together when there is nothing left, no sooner and no later."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import Fleet
from tests.support.fleet_spider import CLOSED
from tests.support.hosts_graph import HostGraph

WORKERS = 3
LATENCY_SECONDS = 0.01
HANGS_SECONDS = 60.0

GRAPHS = (
    HostGraph(hosts=3, pages=12, links="chain"),  # one request at a time is open
    HostGraph(hosts=3, pages=30),
    HostGraph(hosts=1, pages=5, links="chain"),
    HostGraph(hosts=5, pages=40, spread="uneven"),
)


def crawl(fleet: Fleet, number: int) -> None:
    """Every other crawl begins when all workers are there, the others as they come."""
    if number % 2:
        # A worker may come when the job is completed already: it is not to begin the next.
        fleet.start(WORKERS, RESUME_MODE="once")
    else:
        fleet.start_together(WORKERS)
    fleet.expect_success(HANGS_SECONDS)


def check(fleet: Fleet) -> None:
    fleet.expect_completed()
    found = fleet.verdict()
    assert found.is_clean, f"{found}; {fleet.story()}"
    last_answer = max(hit.answered_at or float("inf") for hit in fleet.hits())
    closed = fleet.journal(CLOSED)
    assert {row["reason"] for row in closed} == {"finished"}, f"{closed}; {fleet.story()}"
    early = [row for row in closed if row["at"] < last_answer]
    assert not early, f"closed before {last_answer}, the last answer: {early}; {fleet.story()}"
    assert len(fleet.store().jobs()) == 1 + jobs_before(fleet), fleet.story()


def jobs_before(fleet: Fleet) -> int:
    return int(fleet.job.removeprefix("small"))


def crawls(numbers: Iterable[int], new_fleet: NewFleet) -> None:
    """One after another, each a job of its own in the same database."""
    for number in numbers:
        graph = GRAPHS[number // 2 % len(GRAPHS)]
        fleet = new_fleet(graph, latency_seconds=LATENCY_SECONDS, job=f"small{number}")
        crawl(fleet, number)
        check(fleet)
        fleet.site.close()


def test_small_crawls_end_neither_early_nor_never(new_fleet: NewFleet) -> None:
    crawls(range(5), new_fleet)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_small_crawls_end_neither_early_nor_never(new_fleet: NewFleet) -> None:
    crawls(range(200), new_fleet)
