"""Ten workers are started at the same moment, on an empty database."""

from __future__ import annotations

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.fleet_spider import BEGAN
from tests.support.hosts_graph import HostGraph

WORKERS = 10


def test_ten_workers_at_once_begin_one_job_and_one_start(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=200), settings=SLOWLY)
    fleet.start_together(WORKERS)
    fleet.expect_success()
    jobs = [(job["job"], job["number"]) for job in fleet.store().jobs()]
    assert jobs == [(fleet.job, 1)], f"{jobs}; {fleet.story()}"
    starts = fleet.journal(BEGAN)
    assert len(starts) == 1, f"{starts}; {fleet.story()}"
    fleet.expect_completed()
    found = fleet.verdict()
    print(found)
    assert found.is_clean, f"{found}; {fleet.story()}"
    runs = fleet.status()["runs"]
    assert len(runs) == WORKERS, f"{runs}; {fleet.story()}"
