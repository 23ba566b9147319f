"""What readers are told of a job with many workers."""

from __future__ import annotations

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.hosts_graph import HostGraph

PAGES = 150
WORKERS = 3


def test_status_lists_every_worker_and_counts_exactly(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=PAGES), settings=SLOWLY)
    fleet.site.hold_from(PAGES // 3)
    fleet.start_together(WORKERS)
    fleet.wait_for_hits(PAGES // 3)
    midway = fleet.status()
    fleet.site.release()
    assert midway["status"] == "running", f"{midway}; {fleet.story()}"
    assert len(midway["runs"]) == WORKERS, f"{midway['runs']}; {fleet.story()}"

    fleet.expect_success()
    fleet.expect_completed()
    status = fleet.status()
    told = f"{status}; {fleet.story()}"
    expected = dict.fromkeys(("pending", "leased", "failed", "parked", "ignored", "delayed"), 0)
    assert status["requests"] == {**expected, "done": PAGES, "total": PAGES}, told
    assert status["items"] == {"stored": PAGES, "dropped": 0, "failed": 0}, told
    runs = status["runs"]
    assert {run["worker"].rpartition(":")[2] for run in runs} == {
        str(worker.pid) for worker in fleet.workers
    }, told
    assert len({run["number"] for run in runs}) == WORKERS, told
    assert [run["ended_at"] is None for run in runs] == [False] * WORKERS, told
    assert sum(run["pages"] for run in runs) == PAGES, told
    assert sum(run["items"] for run in runs) == PAGES, told
    requests = list(fleet.store().requests(fleet.job))
    assert len(requests) == PAGES, told
    assert {request["state"] for request in requests} == {"done"}, told


@pytest.mark.soak
def test_status_shows_a_killed_worker_among_the_others(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=PAGES), settings=SLOWLY)
    fleet.site.hold_from(PAGES // 3)
    first, *_ = fleet.start_together(WORKERS)
    fleet.wait_for_hits(PAGES // 3)
    first.kill()
    fleet.site.release()
    fleet.expect_success()
    fleet.expect_completed()
    runs = {run["worker"].rpartition(":")[2]: run["status"] for run in fleet.status()["runs"]}
    assert set(runs) == {str(worker.pid) for worker in fleet.workers}, f"{runs}; {fleet.story()}"
    assert runs[str(first.pid)] == "crashed", f"{runs}; {fleet.story()}"
