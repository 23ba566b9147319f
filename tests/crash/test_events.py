"""Each event that the store shows was signalled, whatever happened to the process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import open_store
from tests.support.cities import words
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.listener import told
from tests.support.postgres import postgres_server
from tests.support.runs import Run, Workplace, watched
from tests.support.site import Site

__all__ = ["postgres_server"]

EVENT_OF = {
    "done": "request_finished",
    "ignored": "request_finished",
    "failed": "request_failed",
    "parked": "request_parked",
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.soak)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store")
    return request.getfixturevalue("postgres_server").new_database()


class Crawls:
    """Runs of one job, with a listener."""

    def __init__(self, site: Site, place: Workplace, location: str, launcher: Launcher) -> None:
        self.site, self.place, self.location, self.launcher = site, place, location, launcher
        self.file = place.path / "told.jsonl"

    def run(
        self, count: int = 40, largest: int = 5, kill: Any = None, more: Any = None, **settings: Any
    ) -> Run:
        given = {
            "EXTENSIONS": '{"tests.support.listener.Listener": 1}',
            "LISTEN_FILE": self.file,
            **settings,
        }
        return watched(
            words(
                self.site.url, self.location, given, count=count, largest=largest, **(more or {})
            ),
            site=self.site,
            log=self.place.next_log(),
            folder=self.place.path,
            launcher=self.launcher,
            kill=kill,
        )

    def told(self) -> list[dict[str, Any]]:
        return told(self.file)


@pytest.fixture
def crawls(site: Site, place: Workplace, location: str, launcher: Launcher) -> Crawls:
    return Crawls(site, place, location, launcher)


@pytest.mark.parametrize(
    "location",
    ["sqlite", pytest.param("postgres", marks=pytest.mark.soak)],
    indirect=True,
)
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_what_the_store_shows_was_signalled_at_least_once(kills: int, crawls: Crawls) -> None:
    count = 15 * kills
    for number in range(kills):
        killed = crawls.run(count, kill=at_hits(20, 0.017 * number))
        assert killed.killed_at is not None, killed.tail()
    run = crawls.run(count)
    assert run.is_finished, run.tail()
    reports = open_store(crawls.location)
    heard = crawls.told()
    requests = {(one["event"], one["request"]["url"]) for one in heard if "request" in one}
    assert requests == {(EVENT_OF[row["state"]], row["url"]) for row in reports.requests("cities")}
    units = {one["unit"]["unit"] for one in heard if one["event"] == "unit_completed"}
    assert units == {row["unit"] for row in reports.units("cities")}
    runs = reports.job("cities")["runs"]
    assert {one["run"] for one in heard if one["event"] == "job_opened"} == {1}
    resumed = {one["run"] for one in heard if one["event"] == "job_resumed"}
    assert resumed == {run["number"] for run in runs[1:]}
    recovered = {one["run"] for one in heard if one["event"] == "job_recovered"}
    assert recovered == {run["number"] + 1 for run in runs if run["status"] == "crashed"}
    assert heard[-1]["event"] == "job_closed"
    assert (heard[-1]["job"], heard[-1]["status"]) == ("cities#1", "completed")
    # None came before its commit.
    looked_up = [one for one in heard if "stored" in one]
    assert looked_up
    assert all(one["stored"] == [one["request"]["state"]] for one in looked_up)


def test_what_was_told_is_not_told_again(crawls: Crawls) -> None:
    first = crawls.run(count=4, CLOSESPIDER_PAGECOUNT=3)
    assert first.exit_code == 0, first.tail()
    last = crawls.run(count=4)
    assert last.is_finished, last.tail()
    heard = [one for one in crawls.told() if one["event"] != "commit_done"]
    times = Counter((one["event"], one["request"]["url"]) for one in heard if "request" in one)
    assert set(times.values()) == {1}
    closed = [one for one in heard if one["event"] == "job_closed"]
    assert [one["status"] for one in closed] == ["paused", "completed"]
    assert any(one["event"] == "commit_done" for one in crawls.told())


def test_a_handler_that_fails_is_logged_and_harms_nothing(crawls: Crawls) -> None:
    run = crawls.run(count=8, LISTEN_BADLY=1)
    assert run.is_finished, run.tail()
    assert "a handler that fails later" in run.text
    assert run.text.count("Error caught on signal handler") >= 2
    reports = open_store(crawls.location)
    assert reports.job("cities")["requests"]["pending"] == 0
    heard = {one["request"]["url"] for one in crawls.told() if "request" in one}
    assert heard == {row["url"] for row in reports.requests("cities")}


def test_the_end_of_a_job_that_was_killed_at_its_end_is_told_by_the_next_start(
    crawls: Crawls,
) -> None:
    """The death comes between the last commit and the handler."""
    run = crawls.run(count=2, LISTEN_DIES="job_closed")
    assert run.exit_code != 0, run.tail()
    assert open_store(crawls.location).job("cities#1")["status"] == "completed"
    assert not [one for one in crawls.told() if one["event"] == "job_closed"]
    for expected in (["cities#1"], ["cities#1", "cities#2"]):
        run = crawls.run(count=2)
        assert run.exit_code == 0, run.tail()
        closed = [one["job"] for one in crawls.told() if one["event"] == "job_closed"]
        assert closed == expected, "the first start begins nothing"
