"""A host that does not answer: its requests wait, the others go on, and it cannot hold a job open.

Of one worker, on SQLite, where a test does not say otherwise.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
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
"""May be on their way when a breaker opens: of what comes to it in one moment Scrapy may send more
than CONCURRENT_REQUESTS_PER_DOMAIN at once."""
SETTINGS: dict[str, Any] = {
    "RESUME_BREAKER_FAILURES": FAILURES,
    "RESUME_BREAKER_COOLDOWN": 0.5,
    "RESUME_RETRY_DELAY": 0.1,
    "CONCURRENT_REQUESTS": IN_FLIGHT,
    "CONCURRENT_REQUESTS_PER_DOMAIN": AT_ONCE,
}
PATIENT = {"RESUME_ORPHAN_TIMEOUT": 60}
"""A worker of a fleet on a busy machine is not taken for dead."""
PAGES = 150
MIDWAY = 15
GRAPH = HostGraph(hosts=5, pages=PAGES)
CLOCKS_SECONDS = 0.05
"""Two clocks are compared, read one after the other."""

One = Callable[..., Fleet]


@pytest.fixture
def one(tmp_path: Path, fleet_launcher: FleetLauncher) -> Iterator[One]:
    """A crawl of five hosts by one worker, on SQLite, not started yet; a second one beside it
    needs a ``name``."""
    with ExitStack() as opened:

        def make(graph: HostGraph = GRAPH, *, name: str = "", **settings: Any) -> Fleet:
            folder = tmp_path / name
            site = opened.enter_context(HostsSite(folder, graph, latency_seconds=0.02))
            chosen = {**SETTINGS, **settings}
            fleet = Fleet(str(folder / "store"), site, folder, fleet_launcher, chosen)
            return opened.enter_context(fleet)

        yield make


def hits_of(fleet: Fleet, host: str) -> list[HostHit]:
    return [hit for hit in fleet.hits() if hit.host == host]


def failed_hits(fleet: Fleet, host: str) -> list[HostHit]:
    return [hit for hit in hits_of(fleet, host) if hit.status in {0, 503, 500}]


def fail_midway(fleet: Fleet, host: str, how: str = "503") -> None:
    """A host fails when some pages are fetched, and before most are."""
    fleet.wait_for_hits(MIDWAY)
    fleet.site.fail(host, how)
    fleet.site.release()


def asked_of_the_store(fleet: Fleet, query: str, *values: object) -> list[tuple[Any, ...]]:
    [file] = Path(fleet.url).glob("*.sqlite3")
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query, values).fetchall()


def attempts_burnt(fleet: Fleet) -> int:
    """Retries that count, of all requests."""
    retries = "total(json_extract(payload, '$.meta.retry_times'))"
    query = f"SELECT {retries} FROM request WHERE shared IS NULL"  # a retry is a row's own
    return int(asked_of_the_store(fleet, query)[0][0])


def open_until(fleet: Fleet, host: str) -> float:
    """The end of the cool-down as the store keeps it, on the clock of the hit log; 0: none."""
    rows = asked_of_the_store(fleet, "SELECT record FROM host WHERE key = ?", host)
    kept = max((json.loads(record)["open_until"] for (record,) in rows), default=0.0)
    return kept - time.time() + time.monotonic() if kept else 0.0


def expect_whole(fleet: Fleet, without: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    fleet.expect_completed()
    found = fleet.verdict(expected=set(range(fleet.site.graph.pages)) - without)
    assert found.is_whole, f"{found}; {fleet.story()}"


@pytest.mark.parametrize("how", ["503", "drop"])
def test_a_host_that_comes_back_loses_nothing(one: One, how: str) -> None:
    fleet = one()
    host = fleet.site.graph.host_names[2]
    fleet.site.hold_from(MIDWAY)
    [worker] = fleet.start()
    fail_midway(fleet, host, how)
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
    assert attempts_burnt(fleet) <= FAILURES, fleet.story()
    assert fleet.status()["requests"]["failed"] == 0


def test_the_others_go_on_at_full_speed(one: One) -> None:
    fleet = one(RESUME_BREAKER_COOLDOWN=300)
    host = fleet.site.graph.host_names[2]
    fleet.site.fail(host)
    [worker] = fleet.start()
    fleet.wait_until(lambda: worker.has_logged("Nothing is left but"), "end of all others")
    asked = {hit.page for hit in fleet.hits() if hit.host != host}
    # What is reached through the failing host's pages alone stays unknown.
    assert len(asked) > PAGES // 3, fleet.story()
    assert len(failed_hits(fleet, host)) <= FAILURES + IN_FLIGHT
    fleet.site.mend(host)
    worker.kill()
    [worker] = fleet.start(RESUME_BREAKER_COOLDOWN=0.5)
    fleet.wait_until(lambda: worker.has_logged("Nothing is left but"), "breaker still open")
    assert len(failed_hits(fleet, host)) == len(hits_of(fleet, host)), "it was kept by the store"
    worker.kill()


def test_an_open_breaker_survives_a_kill(one: One) -> None:
    fleet = one(RESUME_BREAKER_COOLDOWN=4)
    host = fleet.site.graph.host_names[2]
    fleet.site.hold_from(MIDWAY)
    [worker] = fleet.start()
    fail_midway(fleet, host)
    fleet.wait_until(lambda: open_until(fleet, host) > 0, "open breaker in the store")
    death = worker.kill()
    due = open_until(fleet, host)
    fleet.site.mend(host)
    fleet.start()
    fleet.expect_success()
    expect_whole(fleet)
    assert attempts_burnt(fleet) <= FAILURES, fleet.story()
    later = [hit.asked_at for hit in hits_of(fleet, host) if hit.asked_at > death.at]
    assert min(later) >= due - CLOCKS_SECONDS, "asked before the cool-down was over"


def test_a_probe_that_a_kill_cut_off_is_sent_again_and_burns_no_attempt(one: One) -> None:
    fleet = one(CONCURRENT_REQUESTS=32)
    host = fleet.site.graph.host_names[2]
    fleet.site.hold_from(MIDWAY)
    [worker] = fleet.start()
    fail_midway(fleet, host)
    fleet.wait_until(lambda: worker.has_logged("does not answer yet"), "failed probe")
    fleet.site.hold()

    def is_on_its_way() -> bool:
        return any(hit.answered_at is None for hit in hits_of(fleet, host))

    fleet.wait_until(is_on_its_way, "probe on its way")
    worker.kill()
    fleet.site.mend(host)
    fleet.site.release()
    fleet.start()
    fleet.expect_success()
    expect_whole(fleet)
    assert attempts_burnt(fleet) <= FAILURES, fleet.story()


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
    settings = {**SETTINGS, **PATIENT, "RESUME_BREAKER_COOLDOWN": 60, "RESUME_RETRY_WAIT": 1}
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


def test_retry_reaches_the_workers_of_a_live_crawl(new_fleet: NewFleet, tmp_path: Path) -> None:
    """The last start pages come when the test says so: the crawl cannot end before the retry."""
    settings = {**SETTINGS, **PATIENT, "RESUME_BREAKER_FAILURES": 0, "RETRY_TIMES": 0}
    gate = tmp_path / "gate"
    arguments = {"starts": PAGES, "follow": 0, "gate": gate}
    fleet = new_fleet(GRAPH, settings=settings, arguments=arguments)
    early = range(PAGES * 9 // 10)
    failing = fleet.site.graph.host_names[2]
    pages = [page for page in early if fleet.site.graph.host_of(page) == failing]
    fleet.site.fail(failing, "500")
    fleet.start_together(2)

    def stands_at(done: int, failed: int) -> bool:
        requests = fleet.status()["requests"]
        return (requests["done"], requests["failed"]) == (done, failed)

    fleet.wait_until(lambda: stands_at(len(early) - len(pages), len(pages)), "failure of its pages")
    fleet.site.mend(failing)
    assert retry(fleet.url, fleet.job, status=500) == len(pages)
    fleet.wait_until(lambda: stands_at(len(early), 0), "second attempt by those at work")
    gate.touch()
    fleet.expect_success()
    expect_whole(fleet)
