from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import JobKey, State
from scrapy_resume.reporting.documents import grouped_failures
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.steering import park, retry
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Batch, Closing, Finish, ItemRecord, Opening
from tests.support.postgres import postgres_server

from .conftest import admission

__all__ = ["postgres_server"]

CITIES = {"Paris": "ddf", "Rome": "dd", "Oslo": "ff", "Bern": "dp", "Kiel": "pp"}
"""Unit → its pages: done with an item, failed, or pending."""
STATES = {
    "Bern": "in_progress",
    "Oslo": "failed",
    "Paris": "partial",
    "Kiel": "pending",
    "Rome": "completed",
}


def fill(location: str) -> None:
    job = open_location(location).begin(JobKey("cities", 1), Opening("cities", "host:7"))
    row, step = job.session.ids.first, job.session.ids.step
    arrivals, finishes = [], []
    for city, pages in CITIES.items():
        for number, what in enumerate(pages):
            url = f"http://127.0.0.1/{city}/{number}"
            arrivals.append(admission(row, url=url, unit=city, lease=what != "p"))
            if what == "d":
                finishes.append(
                    Finish(
                        id=row,
                        state=State.done,
                        attempts=1,
                        http_status=200,
                        items=[ItemRecord(0, "{}")],
                    )
                )
            elif what == "f":
                finishes.append(
                    Finish(
                        id=row,
                        state=State.failed,
                        attempts=2,
                        http_status=500,
                        error="HttpError",
                        error_message="no",
                    )
                )
            row += step
    job.commit(Batch(next_id=row, arrivals=arrivals, finishes=finishes))
    job.close(Closing("paused", "shutdown"))


@pytest.fixture
def cities(shelf: Any) -> Any:
    fill(str(shelf.directory))
    return shelf


def listed(answer: Any) -> list[dict[str, Any]]:
    assert (answer.code, answer.err) == (0, "")
    return json.loads(answer.out)


def test_units_are_listed_with_their_counts(cities, call):
    rows = listed(call("units", "--json"))
    assert {row["unit"]: row["state"] for row in rows} == STATES
    assert [row["unit"] for row in rows] == list(STATES)
    paris = rows[2]
    assert paris.pop("first_at") == paris.pop("last_at") is not None
    assert paris == {
        "unit": "Paris",
        "state": "partial",
        "open": 0,
        "done": 2,
        "failed": 1,
        "parked": 0,
        "ignored": 0,
        "items": 2,
        "items_open": 0,
        "items_failed": 0,
        "attempts": 4,
        "error": "HttpError",
        "error_message": "no",
        "http_status": None,
        "cursor": "http://127.0.0.1/Paris/1",
    }


def test_units_in_one_state_and_some_of_them(cities, call):
    assert [row["unit"] for row in listed(call("units", "--state", "partial", "--json"))] == [
        "Paris"
    ]
    assert [row["unit"] for row in listed(call("units", "--limit", "2", "--json"))] == [
        "Bern",
        "Oslo",
    ]


def test_the_report_has_the_units_that_are_at_work_or_in_trouble_first(cities, call, tmp_path):
    (stage,) = json.loads(call("report", "--json").out)["stages"]
    assert [unit["unit"] for unit in stage["units_first"]] == list(STATES)
    counts = "pending 1  in_progress 1  completed 1  partial 1  failed 1"
    assert re.search(
        rf"^cities#1: 3/5 units, [\d.]+ units/hour  {counts}$",
        call("report").out,
        re.MULTILINE,
    )
    assert call("report", "-o", "report.html").code == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert '<td class="host">Bern</td><td>in_progress</td>' in page
    assert counts in page


def test_a_table_of_units_shows_where_each_stands(cities, call):
    answer = call("units", "cities")
    heading, *rows = answer.out.splitlines()
    assert heading.split()[0] == "STATE"
    assert rows[2].split()[:6] == ["partial", "0", "2", "1", "0", "2"]
    assert "http://127.0.0.1/Paris/1 (HttpError)" in rows[2]
    assert call("units", "--state", "parked").err == "No units match.\n"


@pytest.mark.parametrize("words", [["--state", "open"], ["--limit", "-1"], ["--limit", "x"]])
def test_wrong_words_about_units_are_wrong_usage(cities, call, words):
    answer = call("units", *words)
    assert (answer.code, answer.out) == (2, "")


def test_a_unit_of_a_strange_name_cannot_steer_the_terminal(shelf, call):
    job = shelf.begin("books")
    job.commit(
        Batch(next_id=9, arrivals=[admission(1, url="http://x", unit="bo\x1b[31mom", lease=False)])
    )
    assert "\x1b" not in call("units").out


def test_status_counts_units(cities, call):
    answer = listed(call("status", "--json"))
    assert answer["units"] == {
        "pending": 1,
        "in_progress": 1,
        "completed": 1,
        "partial": 1,
        "failed": 1,
        "parked": 0,
        "total": 5,
    }
    line = "units     pending 1  in_progress 1  completed 1  partial 1  failed 1"
    assert line in call("status").out.splitlines()


def test_status_has_no_word_for_the_one_unit_of_a_plain_crawl(shelf, call):
    job = shelf.begin("books")
    shelf.crawl(job, pending=1)
    assert "units" not in call("status").out


def test_failures_of_one_unit(cities, call):
    [all_of_them] = listed(call("failed", "--json"))
    [of_oslo] = listed(call("failed", "--unit", "Oslo", "--json"))
    assert (all_of_them["count"], of_oslo["count"]) == (3, 2)
    assert of_oslo["examples"] == ["http://127.0.0.1/Oslo/0", "http://127.0.0.1/Oslo/1"]
    assert of_oslo.keys() == all_of_them.keys()
    assert listed(call("failed", "--unit", "Rome", "--json")) == []


def test_failures_are_grouped_as_the_store_groups_them(cities):
    reports = open_store(cities.directory)
    rows = reports.requests("cities", state="failed")
    assert grouped_failures(rows, 3) == reports.failures("cities")


@pytest.fixture(params=["sqlite", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store")
    return request.getfixturevalue("postgres_server").new_database()


def test_what_is_asked_and_told_of_a_unit_is_about_its_requests_alone(location):
    """``requests --unit``, ``retry --unit``, ``park --unit``."""
    fill(location)
    reports = open_store(location)

    def urls(**filters: Any) -> list[str]:
        return [row["url"].partition("127.0.0.1/")[2] for row in reports.requests(**filters)]

    def states() -> dict[str, str]:
        return {row["unit"]: row["state"] for row in reports.units()}

    assert urls(unit="Paris") == ["Paris/0", "Paris/1", "Paris/2"]
    assert urls(unit="Paris", state="failed") == ["Paris/2"]
    assert states() == STATES
    assert retry(location, "cities", unit="Oslo") == 2
    assert urls(state="pending") == ["Oslo/0", "Oslo/1", "Bern/1", "Kiel/0", "Kiel/1"]
    assert urls(state="failed") == ["Paris/2"]
    assert states() == {**STATES, "Oslo": "pending"}
    assert park(location, "cities", unit="Kiel") == 2
    assert urls(state="parked") == ["Kiel/0", "Kiel/1"]
    assert states() == {**STATES, "Oslo": "pending", "Kiel": "parked"}
    assert reports.job()["units"]["total"] == len(CITIES)
