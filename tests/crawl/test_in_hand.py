"""A crawl that goes on says what it goes on from: a crash, a takeover, a long pause."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.support.kills import Live
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import Site
from tests.support.wanderings import Wanderings

ONE = {"CONCURRENT_REQUESTS": 1}
AT_ONCE = 2
"""With ONE: a page is in its callback while the next one is downloaded."""

DIES = """
        if response.url.endswith("/page/9"):
            import os
            os.kill(os.getpid(), 9)
"""
FIRST = '        self.state["pages"] ='


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def opening_line(run: Run) -> str:
    """The first line that names the job."""
    return next(line for line in run.text.splitlines() if ": Job wandering#1 " in line)


@pytest.mark.sqlite("a database does not know what was sent since the last commit")
def test_a_crash_counts_what_was_in_hand(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(FIRST, DIES.lstrip("\n") + FIRST)
    assert wanderings.run(ONE).exit_code == -signal.SIGKILL
    job = wanderings.job()
    in_flight = job["in_flight"]
    assert job["status"] == "crashed"
    assert 1 <= len(in_flight) <= AT_ONCE
    assert f"{wanderings.site.url}/page/9" in in_flight
    assert job["requests"]["leased"] > AT_ONCE, "others wait in the buffer"
    in_hand = [row["url"] for row in wanderings.requests(state="leased") if row["worker"]]
    assert in_hand == in_flight
    wanderings.replace_in_spider(DIES.lstrip("\n"), "")
    run = wanderings.run()
    assert run.is_finished, run.tail()
    were = "1 request was" if len(in_flight) == 1 else f"{len(in_flight)} requests were"
    line = opening_line(run)
    assert f"is resumed after a crash ({were} in flight)" in line
    assert " WARNING: " in line


def test_a_pause_is_no_crash_and_goes_on_without_a_warning(wanderings: Wanderings) -> None:
    assert wanderings.run({**ONE, "CLOSESPIDER_PAGECOUNT": 3}).exit_code == 0
    assert wanderings.job()["in_flight"] == []
    run = wanderings.run()
    assert run.is_finished
    assert "is resumed" in opening_line(run)
    assert " INFO: " in opening_line(run)
    assert "stale" not in run.text


def test_a_takeover_by_force_is_not_called_a_crash(wanderings: Wanderings) -> None:
    took_over: list[Run] = []

    def take_over(live: Live) -> float | None:
        assert live.until(lambda: live.hits() >= 5)
        took_over.append(wanderings.run({"RESUME_FORCE": True}, launcher=None))
        return None

    first = wanderings.run({"DOWNLOAD_DELAY": 0.3}, kill=take_over)
    (run,) = took_over
    assert run.is_finished, run.tail()
    assert "is taken over by force" in opening_line(run)
    assert "crash" not in run.text.replace("resume/crashed': False", "")
    assert first.exit_code == 1, first.tail()
    runs: list[dict[str, Any]] = wanderings.job()["runs"]
    assert [one["status"] for one in runs] == ["paused", "completed"]
    assert re.match(r"taken over by .+:\d+", runs[0]["reason"])
    assert not any(row["crashes"] for row in wanderings.requests())


@pytest.mark.sqlite("the test changes the file of a job")
@pytest.mark.parametrize(("hours", "warned"), [(30, True), (20, False)])
def test_a_stale_job_goes_on_with_a_warning(
    wanderings: Wanderings, hours: int, warned: bool
) -> None:
    assert wanderings.run({"CLOSESPIDER_PAGECOUNT": 3}).exit_code == 0
    (file,) = wanderings.place.store.glob("*.sqlite3")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE minute SET minute = minute - ?", (hours * 60,))
    run = wanderings.run({"CLOSESPIDER_PAGECOUNT": 3})
    assert run.exit_code == 0
    lines = [line for line in run.text.splitlines() if "wandering#1 was stale" in line]
    assert len(lines) == warned
    assert all(" WARNING: " in line and "RESUME_STALE_AFTER" in line for line in lines)
    again = wanderings.run({"RESUME_STALE_AFTER": 5})
    assert again.is_finished
