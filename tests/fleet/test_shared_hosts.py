"""One host for all workers at a time, or one worker at a time: ``RESUME_HOSTS``."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY, Fleet
from tests.support.fleet_oracles import at_a_time
from tests.support.hosts_graph import HostGraph, Links

ONE_HOST = HostGraph(hosts=1, pages=150)


def pages_by_worker(fleet: Fleet) -> Counter[str]:
    return Counter(hit.worker for hit in fleet.hits())


def test_shared_host_is_crawled_by_both_workers(new_fleet: NewFleet) -> None:
    fleet = new_fleet(ONE_HOST, settings={**SLOWLY, "RESUME_HOSTS": "shared"})
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    found, shares = fleet.verdict(), pages_by_worker(fleet)
    print(f"{found}; {shares}")
    assert found.is_clean, f"{found}; {fleet.story()}"
    assert len(shares) == 2, f"{shares}; {fleet.story()}"
    assert min(shares.values()) >= ONE_HOST.pages // 10, f"{shares}; {fleet.story()}"


CHAINS = HostGraph(hosts=1, pages=60, links="chain", chains=12)
CHAINS_OF_THREE_HOSTS = HostGraph(hosts=3, pages=36, links="chain", chains=12)
ONE_AT_A_TIME = {"CONCURRENT_REQUESTS": 1}
ONE_OF_A_HOST = {"CONCURRENT_REQUESTS": 16, "CONCURRENT_REQUESTS_PER_DOMAIN": 1}
DELAY_SECONDS = 600
WORKERS = 3


@pytest.mark.parametrize("limit", [ONE_AT_A_TIME, ONE_OF_A_HOST], ids=["in all", "of a host"])
def test_chains_are_shared_by_workers_that_send_one_request_at_a_time(
    new_fleet: NewFleet, limit: dict[str, int]
) -> None:
    """None holds the beginnings of chains that it cannot send."""
    settings = {**limit, "RESUME_HOSTS": "shared"}
    fleet = new_fleet(CHAINS, settings=settings, arguments={"starts": CHAINS.chains})
    fleet.start_together(WORKERS)
    fleet.expect_success()
    fleet.expect_completed()
    found, shares = fleet.verdict(), pages_by_worker(fleet)
    print(f"{found}; {shares}")
    assert found.is_clean, f"{found}; {fleet.story()}"
    assert len(shares) == WORKERS, f"{shares}; {fleet.story()}"
    assert min(shares.values()) >= CHAINS.pages / 5, f"{shares}; {fleet.story()}"


@pytest.mark.soak
def test_what_a_worker_cannot_send_goes_to_one_that_joins(new_fleet: NewFleet) -> None:
    """Also while no page is answered, so that the first worker has nothing to commit."""
    settings = {**ONE_AT_A_TIME, "RESUME_HOSTS": "shared"}
    fleet = new_fleet(CHAINS, settings=settings, arguments={"starts": CHAINS.chains})
    with fleet.site.held():
        [first] = fleet.start()
        fleet.wait_for_hits(1)
        [second] = fleet.start()
        fleet.wait_for_hits(2)
        assert {hit.worker for hit in fleet.hits()} == {first.name, second.name}
    fleet.expect_success()
    fleet.expect_completed()
    assert fleet.verdict().is_clean, fleet.story()


def test_what_waits_in_the_downloader_goes_to_one_that_joins(new_fleet: NewFleet) -> None:
    """The first worker has handed all requests to it, and would send the next one far too late. (It
    has set the headers of all of them, so the site cannot tell who sent which.)"""
    settings = {"DOWNLOAD_DELAY": DELAY_SECONDS, "RESUME_HOSTS": "shared"}
    fleet = new_fleet(CHAINS, settings=settings, arguments={"starts": CHAINS.chains})
    fleet.start()
    fleet.wait_for_hits(1)
    fleet.start()
    fleet.wait_for_hits(2)


def test_three_exclusive_hosts_have_a_worker_each(new_fleet: NewFleet) -> None:
    graph = CHAINS_OF_THREE_HOSTS
    settings = {**ONE_AT_A_TIME, "RESUME_HOSTS": "exclusive"}
    fleet = new_fleet(graph, settings=settings, arguments={"starts": graph.chains})
    fleet.start_together(WORKERS)
    fleet.expect_success()
    fleet.expect_completed()
    crawled = {(hit.worker, hit.host) for hit in fleet.hits()}
    assert len(crawled) == WORKERS, f"{crawled}; {fleet.story()}"
    assert fleet.verdict().is_clean, fleet.story()


LATENCY_SECONDS = 0.2


@pytest.mark.soak  # ten seconds each, on a machine that has time for it
@pytest.mark.parametrize(
    ("hosts", "graph", "concurrency", "ideal_seconds"),
    [
        ("shared", HostGraph(1, 144, links="chain", chains=12), 1, 9.6),
        ("shared", HostGraph(1, 288, links="chain", chains=24), 2, 9.6),
        ("exclusive", HostGraph(3, 144, links="chain", chains=12), 1, 9.6),
    ],
)
def test_chains_take_little_longer_than_is_ideal(
    new_fleet: NewFleet, hosts: str, graph: HostGraph, concurrency: int, ideal_seconds: float
) -> None:
    fleet = new_fleet(
        graph,
        latency_seconds=LATENCY_SECONDS,
        settings={"CONCURRENT_REQUESTS": concurrency, "RESUME_HOSTS": hosts},
        arguments={"starts": graph.chains},
    )
    fleet.start(WORKERS)
    fleet.expect_success()
    fleet.expect_completed()
    asked = sorted(hit.asked_at for hit in fleet.hits())
    seconds, shares = asked[-1] - asked[0], pages_by_worker(fleet)
    print(f"{seconds:.1f} s, {shares}")
    assert fleet.verdict().is_clean, fleet.story()
    assert len(shares) == WORKERS
    assert min(shares.values()) >= graph.pages / 5, f"{shares}; {fleet.story()}"
    assert seconds <= 1.3 * ideal_seconds, f"{shares}; {fleet.story()}"


@pytest.mark.soak
@pytest.mark.parametrize("links", ["chain", "tree"])
def test_a_worker_that_dies_and_one_that_joins_late_lose_nothing(
    new_fleet: NewFleet, links: Links
) -> None:
    """Eight workers, and a death while leases go back."""
    graph = HostGraph(1, 240, links=links, chains=12)
    starts = graph.chains if links == "chain" else 1
    settings = {**ONE_AT_A_TIME, "RESUME_HOSTS": "shared"}
    fleet = new_fleet(graph, settings=settings, arguments={"starts": starts})
    fleet.start(7)
    fleet.wait_for_hits(60)
    death = fleet.at_work()[0].kill()
    fleet.start(1)
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict(deaths=[death])
    print(found, pages_by_worker(fleet))
    assert found.is_clean, f"{found}; {fleet.story()}"


def test_exclusive_host_has_one_worker_at_a_time(new_fleet: NewFleet) -> None:
    fleet = new_fleet(ONE_HOST, settings={**SLOWLY, "RESUME_HOSTS": "exclusive"})
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict()
    assert found.is_clean, f"{found}; {fleet.story()}"
    together = at_a_time(fleet.hits(), ONE_HOST.host_of(0))
    assert not together, f"{together[:3]}; {fleet.story()}"


@pytest.mark.soak
def test_worker_without_a_host_names_the_setting_that_shares_them(new_fleet: NewFleet) -> None:
    fleet = new_fleet(ONE_HOST, settings={**SLOWLY, "RESUME_HOSTS": "exclusive"})
    workers = fleet.start_together(2)
    fleet.wait_for_hits(20)

    def reasons() -> list[str]:
        lines = [line for worker in workers for line in worker.text.splitlines()]
        return [line for line in lines if "RESUME_HOSTS" in line and ONE_HOST.host_of(0) in line]

    with fleet.site.held():  # the host stays the one's, and the other has nothing to do
        wanted = "log line that names the host and RESUME_HOSTS"
        fleet.wait_until(lambda: bool(reasons()), wanted, seconds=40)
    print(reasons())
    fleet.expect_success()
    fleet.expect_completed()
