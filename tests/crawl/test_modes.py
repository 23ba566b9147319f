"""Which job a crawl opens, and what of it runs again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def test_fresh_begins_the_next_number_and_cancels_the_unfinished_one(
    wanderings: Wanderings,
) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    assert wanderings.run({"RESUME_MODE": "fresh"}).is_finished
    assert wanderings.jobs() == {"wandering#1": "cancelled", "wandering#2": "completed"}
    assert wanderings.titles(2) == wanderings.whole


def test_resume_goes_on_and_says_after_what(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    assert wanderings.jobs() == {"wandering#1": "crashed"}
    run = wanderings.run({"RESUME_MODE": "resume"})
    assert run.is_finished
    assert "is resumed after a crash" in run.text
    assert wanderings.titles() == wanderings.whole


def test_once_leaves_a_completed_job_and_its_feed_alone(wanderings: Wanderings) -> None:
    assert wanderings.run().is_finished
    feed = wanderings.place.path / "out.jsonl"
    feed.write_text("kept\n")
    asked = len(wanderings.site.hits())
    run = wanderings.run({"RESUME_MODE": "once"}, "-O", str(feed))
    assert run.exit_code == 0, run.tail()
    assert "nothing to do" in run.text
    assert "start() runs" not in run.text
    assert len(wanderings.site.hits()) == asked
    assert feed.read_text() == "kept\n"
    assert wanderings.jobs() == {"wandering#1": "completed"}


@pytest.mark.soak
def test_old_completed_numbers_are_pruned(wanderings: Wanderings) -> None:
    for _ in range(3):
        assert wanderings.run({"RESUME_KEEP": 1, "CLOSESPIDER_PAGECOUNT": 0}).is_finished
    assert wanderings.jobs() == {"wandering#2": "completed", "wandering#3": "completed"}


def test_start_runs_on_every_resume_unless_once(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    again = wanderings.run(kill=at_hits(20))
    assert "start() runs" in again.text
    last = wanderings.run({"RESUME_START": "once"})
    assert last.is_finished, last.tail()
    assert "start() runs" not in last.text
    assert wanderings.titles() == wanderings.whole


@pytest.mark.parametrize(
    ("choice", "exit_code", "jobs"),
    [
        ("refuse", 1, {"wandering#1": "crashed"}),
        ("warn", 0, {"wandering#1": "completed"}),
        ("fresh", 0, {"wandering#1": "cancelled", "wandering#2": "completed"}),
    ],
)
def test_changed_input_file_is_noticed(
    wanderings: Wanderings, choice: str, exit_code: int, jobs: dict[str, str]
) -> None:
    seeds = wanderings.place.path / "seeds.txt"
    seeds.write_text("a")
    settings: dict[str, Any] = {"RESUME_INPUT_FILES": str(seeds)}
    assert wanderings.run(settings, kill=at_hits(20)).killed_at is not None
    seeds.write_text("b")
    run = wanderings.run({**settings, "RESUME_ON_INPUT_CHANGE": choice})
    assert run.exit_code == exit_code, run.tail()
    assert "seeds.txt" in run.text
    assert wanderings.jobs() == jobs


@pytest.mark.parametrize(
    ("settings", "status", "reason"),
    [
        ({"CLOSESPIDER_PAGECOUNT": 10}, "paused", "closespider_pagecount"),
        ({"CLOSESPIDER_ITEMCOUNT": 10}, "paused", "closespider_itemcount"),
        ({}, "completed", "finished"),
    ],
)
def test_status_follows_the_close_reason(
    wanderings: Wanderings, settings: dict[str, Any], status: str, reason: str
) -> None:
    assert wanderings.run(settings).exit_code == 0
    job = wanderings.job()
    assert (job["status"], job["reason"]) == (status, reason)
    assert wanderings.run().is_finished
    assert wanderings.titles() == wanderings.whole


def test_start_that_raises_fails_the_job_and_the_next_run_goes_on(wanderings: Wanderings) -> None:
    raising = "        raise ValueError('no seeds')\n\n    def parse_page"
    wanderings.replace_in_spider("\n    def parse_page", raising)
    wanderings.run()
    assert (wanderings.job()["status"], wanderings.job()["reason"]) == ("failed", "start_error")
    assert wanderings.titles() == wanderings.whole
    wanderings.replace_in_spider(raising, "\n    def parse_page")
    assert wanderings.run().is_finished
    assert wanderings.job()["status"] == "completed"
    assert wanderings.titles() == wanderings.whole


def test_finished_with_work_left_is_paused(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        'yield {"title"',
        'if self.state["pages"] == 10:\n'
        '            raise __import__("scrapy").exceptions.CloseSpider("finished")\n'
        '        yield {"title"',
    )
    wanderings.run()
    assert (wanderings.job()["status"], wanderings.job()["reason"]) == ("paused", "finished")
