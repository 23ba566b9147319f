"""One host for all workers at a time, or one worker at a time: ``RESUME_HOSTS``."""

from __future__ import annotations

from collections import Counter

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY, Fleet
from tests.support.fleet_oracles import at_a_time
from tests.support.hosts_graph import HostGraph

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


def test_exclusive_host_has_one_worker_at_a_time(new_fleet: NewFleet) -> None:
    fleet = new_fleet(ONE_HOST, settings={**SLOWLY, "RESUME_HOSTS": "exclusive"})
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict()
    assert found.is_clean, f"{found}; {fleet.story()}"
    together = at_a_time(fleet.hits(), ONE_HOST.host_of(0))
    assert not together, f"{together[:3]}; {fleet.story()}"


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
