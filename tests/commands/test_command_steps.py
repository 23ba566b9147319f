"""Steps of items on screens: counts, errors, days; and what they mean for other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import JobKey, StepState
from scrapy_resume.reporting.reports import open_store
from tests.support.postgres import postgres_server, postgres_url

from .conftest import Answer, Shelf
from .step_jobs import cars, end, give_items, lease

__all__ = ["postgres_server", "postgres_url"]

Call = Callable[..., Answer]


def told(answer: Answer) -> Any:
    assert (answer.code, answer.err) == (0, "")
    return json.loads(answer.out)


COUNTS = {
    "photos": {"pending": 0, "running": 0, "done": 3, "failed": 1, "parked": 0, "skipped": 0},
    "vin": {"pending": 0, "running": 0, "done": 2, "failed": 0, "parked": 1, "skipped": 1},
}


def test_steps_are_counted_and_their_errors_shown(shelf: Shelf, call: Call) -> None:
    shelf.close(cars(shelf))
    photos, vin = told(call("steps", "--json"))
    assert {row["step"]: {name: row[name] for name in COUNTS["vin"]} for row in (photos, vin)} == (
        COUNTS
    )
    assert (photos["success_rate"], vin["success_rate"]) == (0.75, 2 / 3)
    (error,) = photos["errors"]
    assert (error["error"], error["count"]) == ("DownloadFailedError", 1)
    assert error["examples"] == [{"key": "d", "url": "http://127.0.0.1/page/2"}]
    lines = call("steps").out.splitlines()
    assert lines[0].split() == (
        ["STEP", "PENDING", "RUNNING", "DONE", "FAILED", "PARKED", "SKIPPED", "SUCCESS"]
    )
    assert lines[1].split() == ["photos", "0", "0", "3", "1", "0", "0", "75.0%"]
    assert "1 x photos DownloadFailedError: no answer" in lines
    assert "1 x vin crash (1 parked): the process died 4 times" in lines
    assert "to try them again: scrapy resume retry 'cars#1' --step vin" in lines
    assert open_store(shelf.directory).steps("cars") == [photos, vin]


def test_attempts_are_shown_by_day(shelf: Shelf, call: Call) -> None:
    shelf.close(cars(shelf))
    photos, vin = told(call("steps", "--by-day", "--json"))
    assert (photos["step"], photos["attempts"], photos["retries"]) == ("photos", 4, 0)
    assert (vin["done"], vin["failed"], vin["skipped"], vin["success_rate"]) == (2, 1, 1, 0.6667)
    heading, first, _ = call("steps", "--by-day").out.splitlines()
    assert heading.split()[:3] == ["DAY", "STEP", "ATTEMPTS"]
    assert first.split() == [photos["day"], "photos", "4", "0", "3", "1", "0", "75.0%"]


def test_a_job_without_steps_says_so(shelf: Shelf, call: Call) -> None:
    shelf.crawl(shelf.begin(), done=[[{"a": 1}]])
    assert call("steps").out == "Items have no steps in books#1.\n"
    assert call("steps", "--by-day").out == "No attempt of a step has ended in books#1.\n"
    assert told(call("steps", "--json")) == told(call("steps", "--by-day", "--json")) == []
    assert told(call("status", "--json"))["steps"] == {}


def test_status_counts_steps_and_says_what_tries_them_again(shelf: Shelf, call: Call) -> None:
    shelf.close(cars(shelf))
    document = told(call("status", "--json"))
    assert document["steps"] == COUNTS
    lines = call("status").out.splitlines()
    assert "steps     photos: done 3  failed 1" in lines
    assert "          vin: done 2  parked 1  skipped 1" in lines
    assert "  1 x photos DownloadFailedError: no answer" in lines
    assert "  to try them again: scrapy resume retry 'cars#1' --step photos" in lines


def test_check_holds_failed_steps_against_a_job(shelf: Shelf, call: Call) -> None:
    job = shelf.begin()
    give_items(job, {"k": "a"})
    end(job, "photos", StepState.done)
    end(job, "vin", StepState.skipped, error="SkipStep")
    shelf.close(job)
    assert call("status", "--check").code == 0
    shelf.close(cars(shelf))
    assert call("status", "cars", "--check").code == 3
    waiting = shelf.begin("open")
    give_items(waiting, {"k": "a"})
    shelf.close(waiting)
    assert told(call("status", "open", "--json"))["status"] == "paused"
    assert call("status", "open", "--check").code == 4


def test_items_are_listed_with_their_steps(shelf: Shelf, call: Call) -> None:
    job = cars(shelf)
    give_items(job, {"k": "e"})
    end(job, "photos", StepState.done)
    shelf.close(job)
    rows = told(call("items", "--json"))
    assert {row["key"]: row["state"] for row in rows} == {
        "a": "complete",
        "b": "complete",
        "c": "complete",
        "d": "partial",
    }
    failed = told(call("items", "--step", "photos", "--step-state", "failed", "--json"))
    assert [row["key"] for row in failed] == ["d"]
    step = failed[0]["steps"][0]
    assert (step["step"], step["state"], step["attempts"]) == ("photos", "failed", 1)
    assert (step["error"], step["error_message"]) == ("DownloadFailedError", "no answer")
    (hidden,) = told(call("items", "--step-state", "pending,running", "--json"))
    assert (hidden["key"], hidden["state"], hidden["stored_at"]) == ("e", "open", None)
    named = told(call("items", "--item", "a", "--item", "e", "--json"))
    assert [row["key"] for row in named] == ["a", "e"]
    lacking = told(call("items", "--step", "photos", "--missing", "photos", "--json"))
    assert [row["key"] for row in lacking] == ["d"]
    oslo = told(call("items", "--step", "vin", "--unit", "Oslo", "--json"))
    assert [row["key"] for row in oslo] == ["a", "b"]
    assert told(call("items", "--step", "vin", "--limit", 1, "--json")) == oslo[:1]
    shown = call("items", "--step", "photos", "--step-state", "failed").out
    assert "photos failed (DownloadFailedError), vin parked (crash)" in shown
    urls = call("items", "--step", "photos", "--urls").out.splitlines()
    assert urls == [f"http://127.0.0.1/page/{page}" for page in (1, 2, 3)]


def test_items_names_what_there_is_not(shelf: Shelf, call: Call) -> None:
    shelf.close(cars(shelf))
    answer = call("items", "--step", "foto")
    assert "No items match." in answer.err
    assert "The job has no step 'foto'; there are photos, vin" in answer.err
    assert answer.code == 1
    assert "1 key is that of no item with steps: z" in call("items", "--item", "z").err
    assert call("items", "--step-state", "lost").code == 2
    assert call("items", "--outdated").code == 2


def test_show_failed_and_units_know_steps(shelf: Shelf, call: Call) -> None:
    job = cars(shelf)
    give_items(job, {"k": "e"}, unit="Paris")
    shelf.close(job)
    document = told(call("show", "--json"))
    assert document["steps"]["photos"]["pending"] == 1
    assert {group["step"] for group in document["step_failures"]} == {"photos", "vin"}
    shown = call("show").out
    assert "steps of items" in shown
    assert "failed steps" in shown
    failed = call("failed").out
    assert "1 step 'photos' of items failed: scrapy resume retry 'cars#1' --step photos" in failed
    assert "    1 x vin crash (1 parked): the process died 4 times" in failed
    assert told(call("failed", "--json")) == []
    units = {row["unit"]: row for row in told(call("units", "--json"))}
    assert {name: row["state"] for name, row in units.items()} == {
        "Oslo": "completed",
        "Bergen": "partial",
        "Paris": "in_progress",
    }
    assert (units["Bergen"]["items_failed"], units["Paris"]["items_open"]) == (1, 1)


def test_an_export_says_which_items_are_not_in_it(shelf: Shelf, call: Call, tmp_path: Any) -> None:
    job = cars(shelf)
    give_items(job, {"k": "e"})
    shelf.close(job)
    answer = call("export", "-o", "cars.jsonlines")
    assert answer.out == "4 items of cars#1 are in cars.jsonlines (jsonlines)\n"
    assert answer.err == (
        "1 item of cars#1 is not in it: steps of theirs have not ended"
        " (scrapy resume items 'cars#1' --step-state pending,running)\n"
    )
    items = [json.loads(line) for line in (tmp_path / "cars.jsonlines").read_text().splitlines()]
    assert {item["k"]: "photos" in item for item in items} == {
        "a": True,
        "b": True,
        "c": True,
        "d": False,
    }
    assert told(call("export", "--overwrite", "-o", "cars.jsonlines", "--json"))["open"] == 1


def test_a_report_shows_steps_by_day(
    shelf: Shelf, call: Call, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = cars(shelf)
    import time

    later = time.time() + 2 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    give_items(job, {"k": "<e>"})
    end(job, "photos", StepState.failed, error="<Error>", message="no answer")
    shelf.close(job)
    (stage,) = told(call("report", "--json"))["stages"]
    assert [day["attempts"] for day in stage["step_days"] if day["step"] == "photos"] == [4, 1]
    assert stage["step_failures"][0]["step"] == "photos"
    lines = call("report").out.splitlines()
    assert "cars#1: step photos: done 3  failed 2" in lines
    assert any("4 attempts, 0 retries, 3 done, 1 failed, 0 skipped" in line for line in lines)
    assert "cars#1: to try them again: scrapy resume retry 'cars#1' --step photos" in lines
    call("report", "-o", "cars.html")
    page = (tmp_path / "cars.html").read_text()
    assert "Attempts of photos by day" in page
    assert page.count("0 attempts (0 again)") == 1  # the day between
    assert "Attempts of vin by day" not in page
    assert "&lt;Error&gt;" in page
    assert "<Error>" not in page


def test_a_step_that_runs_is_shown_so(shelf: Shelf, call: Call) -> None:
    job = shelf.begin()
    give_items(job, {"k": "a"})
    lease(job, "vin")
    (_, vin) = told(call("steps", "--json"))
    assert (vin["pending"], vin["running"]) == (0, 1)


TIMES = frozenset({"first_at", "last_at", "stored_at"})


def without_times(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            key: value is None if key in TIMES else without_times(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [without_times(part) for part in document]
    return document


def test_both_stores_tell_the_same(
    shelf: Shelf, call: Call, tmp_path: Path, postgres_url: str
) -> None:
    shelves = shelf, Shelf(tmp_path / "nowhere", postgres_url)
    for place in shelves:
        job = cars(place)
        give_items(job, {"k": "e"}, unit="Oslo")
        end(job, "vin", StepState.pending, error="OSError", not_before=4e9)
        place.close(job)
    for words in (
        ["steps"],
        ["steps", "--by-day"],
        ["items"],
        ["items", "--step", "photos"],
        ["items", "--step-state", "pending", "--unit", "Oslo"],
        ["items", "--step", "vin", "--missing", "vin"],
        ["items", "--item", "a", "--item", "e", "--step-state", "done"],
        ["units"],
        ["retry", "--step", "vin", "--missing", "vin"],
        ["skip", "--step", "photos"],
        ["items", "--step", "vin"],
    ):
        first, second = (
            without_times(told(call(*words, "--json", RESUME_STORE=place.location)))
            for place in shelves
        )
        assert first == second, words
        assert first, words
    for place in shelves:
        assert place.store.verify(JobKey("cars", 1)).violations == []


def test_a_backup_and_a_reset_have_the_steps_too(shelf: Shelf, call: Call) -> None:
    shelf.close(cars(shelf))
    before = call("steps", "--json").out, call("items", "--step", "vin", "--json").out
    assert call("backup", "cars", "copy").code == 0
    assert call("verify", "cars").code == 0
    assert call("reset", "cars", "--yes").code == 0
    assert call("steps").code == 1
    assert call("restore", "copy").code == 0
    assert (call("steps", "--json").out, call("items", "--step", "vin", "--json").out) == before
    shelf.age("cars#1", 9)
    assert call("clean", "--days", 3).code == 0
    assert call("steps").code == 1
