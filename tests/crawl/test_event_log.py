"""A crawl that is killed and gone on with: its event log tells what the store has, and no more."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from signal import SIGINT
from typing import Any

import pytest

from scrapy_resume.events.log_files import JobTail, read_events, segments
from scrapy_resume.model import JobKey
from tests.support import schemas
from tests.support.kills import at_hits, in_turn
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings

KEY = JobKey(JOB, 1)
SETTINGS = {"RESUME_HEARTBEAT": 0.2, "DOWNLOAD_DELAY": 0.02}


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def test_the_log_tells_what_the_store_has(wanderings: Wanderings, place: Workplace) -> None:
    directory = place.path / "logs of events"
    settings = {**SETTINGS, "RESUME_EVENT_LOG": str(directory)}
    killed = wanderings.run(settings, kill=at_hits(30))
    assert killed.killed_at is not None
    torn = list(read_events(directory, KEY))
    done = {row["url"] for row in wanderings.requests(state="done")}
    logged = Counter(e["url"] for e in torn if e["type"] == "request_done")
    assert logged.keys() <= done, "nothing is in the log that is not in the store"
    assert torn[0]["type"] == "run_started"
    assert "run_closed" not in {event["type"] for event in torn}

    last = wanderings.run(settings)
    assert last.is_finished, last.tail()
    events = list(read_events(directory, KEY))
    schemas.check(events, "log")
    types = Counter(event["type"] for event in events)
    assert (types["run_started"], types["recovered"], types["run_closed"]) == (2, 1, 1)
    assert types["heartbeat"] > 0
    assert types["request_failed"] == 0
    told = Counter(event["url"] for event in events if event["type"] == "request_done")
    assert max(told.values()) == 1, "a finish is committed once"
    missing = {row["url"] for row in wanderings.requests(state="done")} - told.keys()
    assert missing <= done - logged.keys(), "only what was committed as the process died"
    end: dict[str, Any] = events[-1]
    assert (end["type"], end["status"], end["reason"]) == ("run_closed", "completed", "finished")
    assert end["counts"]["done"] == wanderings.job()["requests"]["done"]
    if jq := shutil.which("jq"):
        names = [str(segment.path) for segment in segments(directory, KEY)]
        text = subprocess.run(["zcat", "-f", *names], capture_output=True, check=True).stdout
        answer = subprocess.run([jq, "-c", ".type"], input=text, capture_output=True, check=False)
        assert answer.returncode in (0, 2), answer.stderr  # 2: the torn line of the killed run
        assert json.loads(answer.stdout.splitlines()[0]) == "run_started"


@pytest.mark.soak
def test_an_interrupted_run_has_its_end_in_the_log(
    wanderings: Wanderings, place: Workplace
) -> None:
    twice = in_turn(at_hits(10, signum=SIGINT), at_hits(10, signum=SIGINT))
    directory = place.path / "events"
    settings = {"RESUME_EVENT_LOG": str(directory), "DOWNLOAD_DELAY": 0.5}
    wanderings.run(settings, kill=twice)
    events = list(read_events(directory, KEY))
    schemas.check(events, "log")
    assert wanderings.job()["status"] == "paused"
    assert [e["status"] for e in events if e["type"] == "run_closed"] == ["paused"]


def test_a_log_that_cannot_be_written_does_not_harm_the_crawl(
    wanderings: Wanderings, place: Workplace
) -> None:
    blocked = place.path / "file"
    blocked.write_text("no directory")
    run = wanderings.run({"RESUME_EVENT_LOG": str(blocked / "events")})
    assert run.is_finished, run.tail()
    assert run.text.count("The event log is not written any more") == 1
    assert wanderings.titles() == wanderings.whole


def test_units_are_told_of_once_over_kills_and_every_file_is_compressed(
    wanderings: Wanderings, place: Workplace
) -> None:
    unit = f"{wanderings.site.url}/page/0"
    directory = place.path / "events"
    settings = {**SETTINGS, "RESUME_EVENT_LOG": str(directory)}
    for hits in (15, 15):
        assert wanderings.run(settings, kill=at_hits(hits)).killed_at is not None
    tail = JobTail(directory, KEY)
    followed = list(tail.events())
    assert [segment.path.suffix for segment in segments(directory, KEY)] == [".gz", ".jsonl"]
    last = wanderings.run(settings)
    assert last.is_finished, last.tail()
    assert [segment.path.suffix for segment in segments(directory, KEY)] == [".gz"] * 3
    assert [path.name for path in directory.iterdir() if path.suffix != ".gz"] == []
    events = list(read_events(directory, KEY))
    schemas.check(events, "log")
    followed += tail.events()
    assert Counter(map(str, followed)) == Counter(map(str, events)), "--follow reads the same"
    told = [(event["type"], event["unit"]) for event in events if "unit" in event]
    started = [name for kind, name in told if kind == "unit_started"]
    completed = [name for kind, name in told if kind == "unit_completed"]
    assert started == [unit]
    assert completed == [unit]
    assert told[0] == ("unit_started", unit)
    assert told[-1] == ("unit_completed", unit)
    ends = [event for event in events if event["type"] == "request_done"]
    assert {event["callback"] for event in ends} == {"parse_page"}
