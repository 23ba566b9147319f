"""G7: a start that is refused touches nothing, says why in one line, and exits with 1."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def assert_refused(run: Run, words: str) -> None:
    assert run.exit_code == 1, run.tail()
    told = [line for line in run.text.splitlines() if "ERROR" in line]
    assert len(told) == 1, run.tail()
    assert words in told[0], run.tail()
    assert "Traceback" not in run.text, run.tail()


@pytest.mark.sqlite("a second crawl joins the first where the store is shared")
def test_second_crawl_beside_a_live_one_leaves_feed_and_job_as_they_were(
    wanderings: Wanderings,
) -> None:
    feed = wanderings.place.path / "out.jsonl"
    feed.write_text("kept\n")
    refused: list[Run] = []

    def beside(live: Any) -> float | None:
        assert live.until(lambda: live.hits() >= 5)
        before = wanderings.job()
        refused.append(wanderings.run(None, "-O", str(feed), launcher=None))
        assert wanderings.job()["runs"][0]["worker"] == before["runs"][0]["worker"]
        return live.send(signal.SIGTERM)

    first = wanderings.run({"DOWNLOAD_DELAY": 0.5}, kill=beside)
    assert_refused(refused[0], "is being crawled by another process")
    assert feed.read_text() == "kept\n"
    assert first.exit_code == 0, first.tail()
    assert (wanderings.job()["status"], wanderings.job()["reason"]) == ("paused", "shutdown")
    assert wanderings.run().is_finished
    assert wanderings.titles() == wanderings.whole
    assert len(wanderings.job()["runs"]) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"JOBDIR": "jobs"}, "Remove JOBDIR"),
        ({"SCHEDULER": "wandering.WanderingSpider"}, "Remove SCHEDULER"),
        ({"DUPEFILTER_CLASS": "wandering.WanderingSpider"}, "Remove DUPEFILTER_CLASS"),
        ({"SCHEDULER_PRIORITY_QUEUE": "wandering.X"}, "Remove SCHEDULER_PRIORITY_QUEUE"),
        ({"SCHEDULER_MEMORY_QUEUE": "wandering.X"}, "Remove SCHEDULER_MEMORY_QUEUE"),
        ({"RESUME_MODE": "again"}, "RESUME_MODE is 'again'"),
        ({"RESUME_MOD": "fresh"}, "did you mean RESUME_MODE"),
        ({"RESUME_COMMIT_INTERVAL": "soon"}, "RESUME_COMMIT_INTERVAL is 'soon'"),
        ({"RESUME_MODE": "resume"}, "nothing to go on with"),
        ({"RESUME_INPUT_FILES": "seeds.txt"}, "seeds.txt cannot be read"),
        ({"RESUME_ITEM_KEY": "wandering.nothing"}, "RESUME_ITEM_KEY is 'wandering.nothing'"),
        ({"RESUME_CODECS": '{"a.B": "c.D"}'}, "RESUME_CODECS"),
    ],
)
def test_setting_that_cannot_work_is_refused_before_anything_is_touched(
    wanderings: Wanderings, settings: dict[str, Any], words: str
) -> None:
    assert_refused(wanderings.run(settings), words)
    assert wanderings.site.hits() == []
    assert not list(wanderings.place.store.glob("*.sqlite3"))


@pytest.mark.sqlite
def test_store_that_is_a_file_is_refused(wanderings: Wanderings) -> None:
    wanderings.place.store.write_text("not a directory")
    assert_refused(wanderings.run(), str(wanderings.place.store))
    assert wanderings.place.store.read_text() == "not a directory"


def job_file(wanderings: Wanderings) -> Path:
    return wanderings.place.store / f"{JOB}#1.sqlite3"


@pytest.mark.sqlite
def test_file_that_is_no_database_is_refused_and_kept(wanderings: Wanderings) -> None:
    wanderings.place.store.mkdir()
    job_file(wanderings).write_bytes(b"not a database" * 1000)
    assert_refused(wanderings.run(), job_file(wanderings).name)
    assert job_file(wanderings).read_bytes() == b"not a database" * 1000


@pytest.mark.sqlite
def test_damaged_job_is_refused_and_kept(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    path = job_file(wanderings)
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    damaged = path.read_bytes()[:8192] + b"\xff" * 20_000
    path.write_bytes(damaged)
    assert_refused(wanderings.run(), path.name)
    assert path.read_bytes() == damaged


@pytest.mark.sqlite
def test_job_of_a_newer_version_is_refused(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    with sqlite3.connect(job_file(wanderings)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    assert_refused(wanderings.run(), "newer")


@pytest.mark.sqlite
def test_spider_state_of_a_lost_class_is_refused_with_its_name(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    state = json.dumps({"seen": {"$item": "gone:Lost", "fields": {}}})
    with sqlite3.connect(job_file(wanderings)) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO spider_state (one, payload) VALUES (1, ?)", (state,)
        )
    connection.close()
    assert_refused(wanderings.run(), "gone")


def test_component_that_is_missing_is_named(wanderings: Wanderings) -> None:
    alone = {"SCHEDULER": "scrapy_resume.scheduler.ResumeScheduler", "ADDONS": "{}"}
    run = wanderings.run(alone)
    assert run.exit_code == 1
    assert "without its extension" in run.text
