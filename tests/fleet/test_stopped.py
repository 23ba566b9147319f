"""A worker is stopped (SIGSTOP) past its limit, and comes back to find its work with others."""

from __future__ import annotations

import random

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY, Fleet, Worker
from tests.support.fleet_oracles import Death
from tests.support.hosts_graph import HostGraph

FENCED_OR_BACK = (0, 1)
"""It ends as one that has lost its lease, or joins anew and ends with the others."""

ROUNDS = 3
"""What a worker may send before its first commit is refused, in rounds of its concurrency."""


def stopped_at_work(fleet: Fleet, seed: int) -> tuple[Worker, Death]:
    """Stops a worker that has fetched something, and still has."""
    worker = fleet.any_at_work(random.Random(seed))
    return worker, worker.stop()


def items_of_store(fleet: Fleet) -> list[str]:
    return sorted(str(item) for item in fleet.store().items(fleet.job))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_worker_that_comes_back_after_the_end_commits_nothing(
    seed: int, new_fleet: NewFleet
) -> None:
    fleet = new_fleet(HostGraph(hosts=10, pages=150), settings=SLOWLY)
    fleet.start_together(2)
    fleet.wait_for_hits(40)
    worker, death = stopped_at_work(fleet, seed)
    fleet.expect_success(but=[worker])
    fleet.expect_completed()
    items, status, hits = items_of_store(fleet), fleet.status(), len(fleet.hits())
    found = fleet.verdict(deaths=[death])
    assert found.is_clean, f"before it came back: {found}; {fleet.story()}"

    worker.go_on()
    fleet.wait_for_all()
    sent = len(fleet.hits()) - hits
    print(f"exit code {worker.exit_code}, {sent} requests after it came back; {found}")
    assert worker.exit_code in FENCED_OR_BACK, fleet.story()
    assert items_of_store(fleet) == items, f"it changed the items; {fleet.story()}"
    assert fleet.status()["requests"] == status["requests"], fleet.story()
    assert len(fleet.store().jobs()) == 1, f"it began another job; {fleet.story()}"
    assert sent <= ROUNDS * SLOWLY["CONCURRENT_REQUESTS"], f"{sent} requests; {fleet.story()}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_worker_that_comes_back_among_the_others_spoils_nothing(
    seed: int, new_fleet: NewFleet
) -> None:
    settings = {**SLOWLY, "DOWNLOAD_DELAY": 0.3}  # the crawl goes on long enough
    fleet = new_fleet(HostGraph(hosts=20, pages=400), settings=settings)
    fleet.start_together(3)
    fleet.wait_for_hits(100)
    worker, death = stopped_at_work(fleet, seed)
    its_hosts = {hit.host for hit in fleet.hits() if hit.worker == worker.name}

    def has_been_replaced() -> bool:
        others = (hit for hit in fleet.hits() if hit.worker != worker.name)
        return any(hit.asked_at > death.at and hit.host in its_hosts for hit in others)

    replaced_at = fleet.wait_until(has_been_replaced, f"other worker on a host of {worker.name}")
    others = [one for one in fleet.running() if one is not worker]
    assert others, f"the crawl was over when {worker.name} came back; {fleet.story()}"
    back_at = worker.go_on()
    fleet.expect_success(but=[worker])
    fleet.wait_for_all()
    fleet.expect_completed()
    found = fleet.verdict()
    after = sum(hit.asked_at > back_at for hit in fleet.site.hits_of(worker.name))
    print(
        f"replaced after {replaced_at - death.at:.1f} s, exit code {worker.exit_code}, "
        f"{after} requests after it came back; {found}"
    )
    assert worker.exit_code in FENCED_OR_BACK, fleet.story()
    assert found.is_whole, f"{found}; {fleet.story()}"


def test_worker_that_is_stopped_without_work_does_not_leave_the_job_undone(
    new_fleet: NewFleet,
) -> None:
    """As a machine that loses its power near the end: nothing of the job is in its hands."""
    settings = {**SLOWLY, "RESUME_ORPHAN_TIMEOUT": 2}
    fleet = new_fleet(HostGraph(hosts=1, pages=40), settings=settings)
    fleet.start_together(2)
    fleet.wait_for_hits(10)
    [at_work] = fleet.at_work()
    [idle] = [worker for worker in fleet.workers if worker is not at_work]
    idle.stop()
    fleet.expect_success(but=[idle])
    fleet.expect_completed()
    idle.go_on()
    fleet.wait_for_all()
    assert idle.exit_code in FENCED_OR_BACK, fleet.story()
    found = fleet.verdict()
    assert found.is_clean, f"{found}; {fleet.story()}"


@pytest.mark.soak
def test_worker_that_comes_back_sends_nothing_to_hosts_of_others(new_fleet: NewFleet) -> None:
    """When it was stopped, requests waited in its downloader for the delay of their hosts."""
    settings = {
        "DOWNLOAD_DELAY": 0.5,
        "CONCURRENT_REQUESTS": 24,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 4,
        "RESUME_ORPHAN_TIMEOUT": 2,
    }
    fleet = new_fleet(HostGraph(hosts=12, pages=1_000), settings=settings)
    fleet.start_together(2)
    fleet.wait_for_hits(40)
    worker, death = stopped_at_work(fleet, 0)

    [other] = [one for one in fleet.workers if one is not worker]
    fleet.wait_until(lambda: other.has_logged("are taken back"), f"end of {worker.name}'s leases")

    def hosts_of_other() -> set[str]:
        hits = fleet.site.hits_of(other.name)
        return {hit.host for hit in hits if hit.asked_at > death.at + 1}

    its_hosts = {hit.host for hit in fleet.site.hits_of(worker.name)}
    some = min(3, len(its_hosts))
    fleet.wait_until(lambda: len(its_hosts & hosts_of_other()) >= some, "worker on its hosts")
    back_at = worker.go_on()
    fleet.wait_until(lambda: not worker.is_running, f"end of {worker.name}")
    after = [hit for hit in fleet.site.hits_of(worker.name) if hit.asked_at > back_at]
    assert not [hit for hit in after if hit.host in hosts_of_other()], fleet.story()
    assert worker.exit_code == 1, fleet.story()
    assert "was taken over" in worker.text
