"""A host that does not answer: its requests wait, the others go on, and it cannot hold a job open.

Of one worker, on SQLite, where a test does not say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.steering import retry
from tests.fleet.conftest import NewFleet
from tests.support.fleet import Fleet
from tests.support.fleet_launcher import FleetLauncher
from tests.support.hosts_graph import HostGraph
from tests.support.hosts_site import HostHit, HostsSite

pytestmark = pytest.mark.sqlite

FAILURES = 6
AT_ONCE = 4
IN_FLIGHT = 16
"""What the engine may hold when a breaker opens: some of it waits in the downloader's slot."""
SETTINGS: dict[str, Any] = {
    "RESUME_BREAKER_FAILURES": FAILURES,
    "RESUME_BREAKER_COOLDOWN": 0.5,
    "RESUME_RETRY_DELAY": 0.1,
    "CONCURRENT_REQUESTS": IN_FLIGHT,
    "CONCURRENT_REQUESTS_PER_DOMAIN": AT_ONCE,
}
PAGES = 150
GRAPH = HostGraph(hosts=5, pages=PAGES)

One = Callable[..., Fleet]


@pytest.fixture
def one(tmp_path: Path, fleet_launcher: FleetLauncher) -> Iterator[One]:
    """A crawl of five hosts by one worker, on SQLite, not started yet."""
    with ExitStack() as opened:

        def make(graph: HostGraph = GRAPH, **settings: Any) -> Fleet:
            site = opened.enter_context(HostsSite(tmp_path, graph, latency_seconds=0.02))
            fleet = Fleet(
                str(tmp_path / "store"), site, tmp_path, fleet_launcher, {**SETTINGS, **settings}
            )
            return opened.enter_context(fleet)

        yield make


def hits_of(fleet: Fleet, host: str) -> list[HostHit]:
    return [hit for hit in fleet.hits() if hit.host == host]


def failed_hits(fleet: Fleet, host: str) -> list[HostHit]:
    return [hit for hit in hits_of(fleet, host) if hit.status in {0, 503, 500}]


def expect_whole(fleet: Fleet, without: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    fleet.expect_completed()
    found = fleet.verdict(expected=set(range(fleet.site.graph.pages)) - without)
    assert found.is_whole, f"{found}; {fleet.story()}"


@pytest.mark.parametrize("how", ["503", "drop"])
def test_a_host_that_comes_back_loses_nothing(one: One, how: str) -> None:
    fleet = one()
    host = fleet.site.graph.host_names[2]
    [worker] = fleet.start()
    fleet.wait_for_hits(15)
    fleet.site.fail(host, how)
    fleet.wait_until(lambda: worker.has_logged("its requests wait"), "open breaker")
    fleet.wait_until(lambda: worker.has_logged("does not answer yet"), "failed probe")
    fleet.site.mend(host)
    fleet.expect_success()
    expect_whole(fleet)
    assert worker.text.count("its requests wait") == 1
    assert f"{host} answers again" in worker.text
    probes = worker.text.count("does not answer yet")
    failed = len(failed_hits(fleet, host))
    assert FAILURES + probes <= failed <= FAILURES + IN_FLIGHT + probes, fleet.story()
    assert fleet.status()["requests"]["failed"] == 0


def test_the_others_go_on_at_full_speed(one: One) -> None:
    fleet = one(RESUME_BREAKER_COOLDOWN=30)
    host = fleet.site.graph.host_names[2]
    fleet.site.fail(host)
    [worker] = fleet.start()
    fleet.wait_until(lambda: worker.has_logged("Nothing is left but"), "end of all others")
    asked = {hit.page for hit in fleet.hits() if hit.host != host}
    # What is reached through the failing host's pages alone stays unknown.
    assert len(asked) > PAGES // 3, fleet.story()
    assert len(failed_hits(fleet, host)) <= FAILURES + IN_FLIGHT
    others = [hit.asked_at for hit in fleet.hits() if hit.host != host]
    assert max(others) - min(others) < 10, fleet.story()
    fleet.site.mend(host)
    worker.kill()
    [worker] = fleet.start(RESUME_BREAKER_COOLDOWN=0.5)
    fleet.wait_until(lambda: worker.has_logged("Nothing is left but"), "breaker still open")
    assert len(failed_hits(fleet, host)) == len(hits_of(fleet, host)), "it was kept by the store"
    worker.kill()


def test_an_open_breaker_survives_a_kill(one: One) -> None:
    fleet = one(RESUME_BREAKER_COOLDOWN=4)
    host = fleet.site.graph.host_names[2]
    [worker] = fleet.start()
    fleet.wait_for_hits(15)
    fleet.site.fail(host)
    opened_at = fleet.wait_until(lambda: worker.has_logged("its requests wait"), "open breaker")
    fleet.wait_for_hits(fleet.site.log.asked_count() + 20)  # it is committed by then
    death = worker.kill()
    fleet.site.mend(host)
    fleet.start()
    fleet.expect_success()
    expect_whole(fleet)
    later = [hit.asked_at for hit in hits_of(fleet, host) if hit.asked_at > death.at]
    assert min(later) - opened_at >= 3.5, "asked before the cool-down was over"


@pytest.mark.parametrize("order", ["", "scrapy.pqueues.ScrapyPriorityQueue"])
def test_a_dead_host_does_not_hold_the_job_open(one: One, order: str) -> None:
    more = {"SCHEDULER_PRIORITY_QUEUE": order} if order else {}
    fleet = one(RESUME_BREAKER_PROBES=2, RESUME_BREAKER_COOLDOWN=0.3, **more)
    host = fleet.site.graph.host_names[2]
    fleet.arguments = {"starts": PAGES, "follow": 0}
    fleet.site.fail(host, "drop")
    [worker] = fleet.start()
    fleet.expect_success()
    dead = {page for page in range(PAGES) if host in fleet.site.graph.url(page, 1)}
    expect_whole(fleet, without=dead)
    assert "its requests fail" in worker.text
    rows = [row for row in fleet.store().requests(fleet.job) if row["state"] == "failed"]
    assert {row["error"] for row in rows} <= {"HostUnavailableError", "ResponseNeverReceived"}
    assert len(rows) == len(dead), fleet.story()
    assert sum(row["error"] == "HostUnavailableError" for row in rows) >= len(dead) - FAILURES
    assert len(failed_hits(fleet, host)) <= FAILURES + IN_FLIGHT + 2, fleet.story()


def test_when_every_host_is_down_the_crawl_pauses(one: One) -> None:
    fleet = one(RESUME_BREAKER_COOLDOWN=60, RESUME_RETRY_WAIT=1)
    for host in fleet.site.graph.host_names:
        fleet.site.fail(host)
    fleet.arguments = {"starts": PAGES, "follow": 0}
    fleet.start()
    fleet.expect_success()
    status = fleet.status()
    assert (status["status"], status["reason"]) == ("paused", "resume_later"), fleet.story()
    assert status["requests"]["failed"] == 0, fleet.story()
    assert status["requests"]["pending"] == PAGES


def test_without_the_setting_attempts_are_used_up_as_ever(one: One) -> None:
    fleet = one(RESUME_BREAKER_FAILURES=0, RETRY_TIMES=1)
    host = fleet.site.graph.host_names[2]
    fleet.arguments = {"starts": PAGES, "follow": 0}
    fleet.site.fail(host)
    fleet.start()
    fleet.expect_success()
    dead = {page for page in range(PAGES) if host in fleet.site.graph.url(page, 1)}
    expect_whole(fleet, without=dead)
    assert len(failed_hits(fleet, host)) == 2 * len(dead)


def test_a_fleet_pauses_when_every_host_is_down(new_fleet: NewFleet) -> None:
    settings = {**SETTINGS, "RESUME_BREAKER_COOLDOWN": 60, "RESUME_RETRY_WAIT": 1}
    fleet = new_fleet(GRAPH, settings=settings, arguments={"starts": PAGES, "follow": 0})
    for host in fleet.site.graph.host_names:
        fleet.site.fail(host)
    fleet.start_together(2)
    fleet.expect_success()
    status = fleet.status()
    assert status["status"] == "paused", fleet.story()
    assert {run["reason"] for run in status["runs"]} == {"resume_later"}, fleet.story()
    assert status["requests"]["failed"] == 0, fleet.story()
    assert status["requests"]["pending"] == PAGES


def test_retry_reaches_the_workers_of_a_live_crawl(new_fleet: NewFleet) -> None:
    settings = {**SETTINGS, "RESUME_BREAKER_FAILURES": 0, "RETRY_TIMES": 0, "DOWNLOAD_DELAY": 0.15}
    fleet = new_fleet(GRAPH, settings=settings)
    first = fleet.site.graph.host_names[0]
    fleet.site.fail(first, "500")
    fleet.wait_until_joined(fleet.start())
    fleet.wait_until(lambda: fleet.status()["requests"]["failed"] > 0, "failed page")
    fleet.site.mend(first)
    assert retry(fleet.url, fleet.job, status=500) == 1
    fleet.expect_success()
    expect_whole(fleet)
