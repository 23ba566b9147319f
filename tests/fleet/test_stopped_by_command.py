"""``scrapy resume stop`` asks every worker that is on the job; a fleet goes on where it was."""

from __future__ import annotations

from scrapy_resume.events.log_files import read_events
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.fleet.conftest import NewFleet
from tests.support.fleet import JOB, SLOWLY
from tests.support.hosts_graph import HostGraph

KEY = JobKey(JOB, 1)


def test_a_fleet_is_stopped_by_command_and_goes_on(new_fleet: NewFleet) -> None:
    settings = {**SLOWLY, "DOWNLOAD_DELAY": 0.2}
    fleet = new_fleet(HostGraph(hosts=20, pages=200), settings=settings)
    events = fleet.folder / "events"
    workers = fleet.start_together(2, RESUME_EVENT_LOG=events)
    fleet.wait_for_hits(40)
    store = open_location(fleet.url)
    asked = store.stop(KEY)
    assert {run.worker.rpartition(":")[2] for run in asked} == {str(w.pid) for w in workers}
    fleet.expect_success()
    status = fleet.status()
    assert (status["status"], status["reason"]) == ("paused", "shutdown"), fleet.story()
    assert status["requests"]["leased"] == 0
    assert store.verify(KEY).violations == []
    told = [event for event in read_events(events, KEY) if event["type"] == "request_done"]
    assert len(told) == status["requests"]["done"], "each worker logs what it has done"
    assert {event["run"] for event in told} == {1, 2}

    fleet.start(2, DOWNLOAD_DELAY=0)
    fleet.expect_success()
    fleet.expect_completed()
    assert store.verify(KEY).violations == []
    found = fleet.verdict()
    assert found.is_whole, f"{found}; {fleet.story()}"
