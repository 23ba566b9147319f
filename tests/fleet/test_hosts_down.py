"""The breaker at full length: a host that is down for 20 s, and one that never comes back."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.fleet.test_breaker import (
    FAILURES,
    IN_FLIGHT,
    One,
    attempts_burnt,
    expect_whole,
    failed_hits,
    one,
)
from tests.support.fleet import Fleet, Worker
from tests.support.hosts_graph import HostGraph

__all__ = ["one"]

pytestmark = [pytest.mark.soak, pytest.mark.sqlite, pytest.mark.timeout(900)]

DOWN_SECONDS = 20
PAGES = 3_000
DELAY_SECONDS = 0.05
LIMIT_SECONDS = 300.0
STEADY: dict[str, Any] = {
    "DOWNLOAD_DELAY": DELAY_SECONDS,
    "RESUME_BREAKER_COOLDOWN": 2,
    "RESUME_BREAKER_PROBES": 8,
}
"""Hosts give as many pages a second as they may: what slows one down shows."""
FULL_SPEED = 0.8

DEAD_URLS = 10_000


def rate_of_others(fleet: Fleet, host: str, since: float, until: float) -> float:
    hits = [hit for hit in fleet.hits() if hit.host != host and since < hit.asked_at < until]
    return len(hits) / (until - since)


def expect_open_once(fleet: Fleet, workers: list[Worker]) -> None:
    opened = sum(worker.text.count("its requests wait") for worker in workers)
    assert opened == 1, fleet.story()


@pytest.mark.parametrize("killed", [False, True], ids=["left alone", "killed while it is open"])
def test_a_host_that_is_down_for_a_while_costs_the_others_nothing(one: One, killed: bool) -> None:
    fleet = one(HostGraph(hosts=5, pages=PAGES), **STEADY)
    fleet.arguments = {"starts": PAGES, "follow": 0}
    host = fleet.site.graph.host_names[2]
    workers = fleet.start()
    fleet.wait_for_hits(300)
    began = fleet.hits()[0].asked_at
    before = rate_of_others(fleet, host, began, down_at := time.monotonic())
    fleet.site.fail(host)
    fleet.wait_until(lambda: workers[0].has_logged("its requests wait"), "open breaker")
    if killed:
        fleet.wait_until(lambda: time.monotonic() > down_at + DOWN_SECONDS / 4, "open for a while")
        workers[0].kill()
        workers += fleet.start()
        fleet.wait_until_joined(workers[1:])
    working_since = time.monotonic()
    fleet.wait_until(lambda: time.monotonic() > down_at + DOWN_SECONDS, "the end of the outage")
    during = rate_of_others(fleet, host, working_since, up_at := time.monotonic())
    fleet.site.mend(host)
    fleet.expect_success(LIMIT_SECONDS)
    expect_whole(fleet)
    expect_open_once(fleet, workers)
    probes = sum(worker.text.count("does not answer yet") for worker in workers)
    failed, burnt = len(failed_hits(fleet, host)), attempts_burnt(fleet)
    first = min(hit.asked_at for hit in fleet.hits() if hit.host == host and hit.asked_at > up_at)
    print(
        f"others: {before:.1f} pages/s before, {during:.1f} in the outage; {probes} probes failed,"
        f" {failed} requests in all, {burnt} attempts burnt; asked {first - up_at:.1f} s after"
    )
    assert during >= FULL_SPEED * before, fleet.story()
    assert burnt <= FAILURES, fleet.story()
    assert failed <= FAILURES + IN_FLIGHT + probes, fleet.story()


def seconds_of(fleet: Fleet, host: str) -> float:
    times = [hit.asked_at for hit in fleet.hits() if hit.host == host]
    return max(times) - min(times)


def test_ten_thousand_urls_of_a_dead_host_fail_and_the_other_is_not_slowed(one: One) -> None:
    graph = HostGraph(hosts=2, pages=2 * DEAD_URLS)
    settings = {"RESUME_BREAKER_PROBES": 3, "RESUME_BREAKER_COOLDOWN": 1, "RESUME_RETRY_DELAY": 1}
    fleet = one(graph, **settings)
    alive, dead = graph.host_names
    fleet.arguments = {"starts": graph.pages, "follow": 0}
    fleet.site.fail(dead, "drop")
    fleet.start()
    fleet.expect_success(LIMIT_SECONDS)
    expect_whole(fleet, without=set(range(1, graph.pages, 2)))
    requests = fleet.status()["requests"]
    errors = Counter(
        row["error"] for row in fleet.store().requests(fleet.job) if row["state"] == "failed"
    )
    beside = seconds_of(fleet, alive)
    print(f"{requests}; {errors}; {len(failed_hits(fleet, dead))} requests to the dead host")
    assert requests["failed"] == DEAD_URLS
    assert errors["HostUnavailableError"] >= DEAD_URLS - FAILURES
    assert len(failed_hits(fleet, dead)) <= FAILURES + IN_FLIGHT + 3

    # The living host's pages alone, as fast as one host is asked for them.
    control = one(HostGraph(hosts=1, pages=DEAD_URLS), name="control", **settings)
    control.arguments = {"starts": DEAD_URLS, "follow": 0}
    control.start()
    control.expect_success(LIMIT_SECONDS)
    alone = seconds_of(control, alive)
    print(f"the other's {DEAD_URLS:,} pages: {beside:.1f} s; {alone:.1f} s without the dead host")
    assert beside <= alone / FULL_SPEED
