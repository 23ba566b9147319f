"""What keeps a job itself from going on is shown, until a run has ended without it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from scrapy_resume import open_store
from scrapy_resume.model import Counts
from scrapy_resume.reporting.progress import counts_at_end
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import Wanderings

FEW = {"CLOSESPIDER_PAGECOUNT": 3, "CONCURRENT_REQUESTS": 1}


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def error_of(wanderings: Wanderings) -> dict[str, Any] | None:
    error: dict[str, Any] | None = wanderings.job()["error"]
    return error


def screens(wanderings: Wanderings) -> dict[str, str]:
    return {
        name: wanderings.scrapy("resume", name).text
        for name in ("status", "show", "list", "report")
    }


def test_a_start_that_raised_is_the_error_of_the_job(wanderings: Wanderings) -> None:
    begins = 'self.logger.info("start() runs")'
    wanderings.replace_in_spider(begins, f'{begins}; int("no seeds")')
    for count in (1, 2):
        wanderings.run(FEW)
        error = error_of(wanderings)
        assert error is not None
        assert (error["class"], error["count"]) == ("ValueError", count)
        assert "start() raised it: invalid literal" in error["message"]
        assert error["at"] == wanderings.job()["runs"][-1]["ended_at"]
    for name, text in screens(wanderings).items():
        assert "ValueError" in text, name
    listed = wanderings.scrapy("resume", "list", "--json")
    assert listed.exit_code == 0
    wanderings.replace_in_spider(f'{begins}; int("no seeds")', begins)
    assert wanderings.run(FEW).exit_code == 0
    assert wanderings.job()["status"] == "paused"
    assert error_of(wanderings) is None


def test_missing_callbacks_are_the_error_of_the_job(wanderings: Wanderings) -> None:
    assert wanderings.run(FEW).exit_code == 0
    text = wanderings.spider.read_text()
    wanderings.spider.write_text(text.replace("parse_page", "parse_other"))
    assert wanderings.run().exit_code == 1
    error = error_of(wanderings)
    assert error is not None
    assert (error["class"], error["count"]) == ("CallbackMissingError", 1)
    assert "parse_page (" in error["message"]
    wanderings.spider.write_text(text)
    assert wanderings.run().is_finished
    assert (wanderings.job()["status"], error_of(wanderings)) == ("completed", None)


NOWHERE = "file:///proc/nowhere/items.jsonl"


def test_a_feed_that_cannot_be_delivered_is_owed(wanderings: Wanderings) -> None:
    feeds = json.dumps({NOWHERE: {"format": "jsonlines"}, "whole.csv": {"format": "csv"}})
    run = wanderings.run({"FEEDS": feeds})
    assert run.exit_code == 1
    job = wanderings.job()
    assert (job["status"], job["undelivered"]) == ("paused", [NOWHERE])
    assert job["error"]["class"] == "FileNotFoundError"
    assert f"feed {NOWHERE}: " in job["error"]["message"]
    for name, text in screens(wanderings).items():
        assert "FileNotFoundError" in text, name
        assert name == "list" or NOWHERE in text, name
    status = wanderings.scrapy("resume", "status").text
    assert "run the same command again" in status
    assert "scrapy resume export wandering#1 -o FILE" in status
    feeds = json.dumps({"items.jsonl": {"format": "jsonlines"}})
    assert wanderings.run({"FEEDS": feeds}).is_finished
    job = wanderings.job()
    assert (job["status"], job["error"], job["undelivered"]) == ("completed", None, [])


def test_a_job_without_trouble_has_none(wanderings: Wanderings) -> None:
    assert wanderings.run(FEW, "-o", "items.jsonl").exit_code == 0
    (job,) = open_store(wanderings.place.location).jobs()
    assert (job["status"], job["error"], job["undelivered"]) == ("paused", None, [])


def test_parked_requests_and_lost_items_are_in_the_line_of_the_end() -> None:
    assert counts_at_end(Counts(done=9, items_stored=4)) == "9 done, 0 pending, 0 failed, 4 items"
    whole = Counts(done=9, failed=1, parked=2, items_stored=1, items_failed=3)
    assert counts_at_end(whole) == "9 done, 0 pending, 1 failed, 2 parked, 1 item, 3 lost"


def test_without_a_log_the_end_says_how_to_go_on(wanderings: Wanderings) -> None:
    run = wanderings.run(FEW, "--nolog")
    (line,) = run.text.splitlines()
    assert line.startswith("scrapy-resume: Job wandering#1 is paused (closespider_pagecount): ")
    assert line.endswith("run the same command again to resume it")
    assert wanderings.run({}, "--nolog").text == "", "it is completed, and nothing was lost"


@pytest.mark.parametrize(
    "status",
    [429, *(pytest.param(status, marks=pytest.mark.soak) for status in (403, 500))],
)
def test_http_errors_are_told_apart(wanderings: Wanderings, status: int) -> None:
    path = f"/made/1?status={status}"
    wanderings.replace_in_spider("/page/0", path)
    run = wanderings.run({"RETRY_ENABLED": False})
    assert run.is_finished, run.tail()
    said = f"HTTP {status} {HTTPStatus(status).phrase}"
    reports = open_store(wanderings.place.location)
    (unit,) = reports.units("wandering")
    assert (unit["http_status"], unit["error"], unit["error_message"]) == (
        status,
        "HttpError",
        said,
    )
    (group,) = reports.failures("wandering")
    assert (group["http_status"], group["error_message"]) == (status, said)
    for words in (["status"], ["failed"], ["report"], ["requests", "--json"], ["units", "--json"]):
        assert said in wanderings.scrapy("resume", *words).text, words
    assert str(status) in wanderings.scrapy("resume", "units").text
