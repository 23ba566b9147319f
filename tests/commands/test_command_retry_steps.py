"""``retry --step`` and ``skip --step``: what they take, what they say, and what runs next."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import step
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import StepState
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.steering import retry, skip

from .conftest import Answer, Shelf
from .step_jobs import cars, end, give_items

Call = Callable[..., Answer]


@step(version="2")
def vin(item: Any) -> None: ...


@step
def photos(item: Any) -> None: ...


class Text:
    name, version = "text", "1"
    needs = consumes = "html"

    def process_item(self, item: Any) -> None: ...


STEPS = {photos: 100, vin: 200, Text: 300}


def opened(shelf: Shelf, name: str, job: str = "cars") -> list[str]:
    """The keys of the items whose step is pending."""
    records = open_store(shelf.directory).item_records(job, step=name, step_state="pending")
    return [record["key"] for record in records]


@pytest.fixture
def closed(shelf: Shelf) -> Shelf:
    shelf.close(cars(shelf))
    return shelf


def test_failed_and_parked_steps_are_tried_again(closed: Shelf, call: Call) -> None:
    answer = call("retry", "--step", "photos", RESUME_STEPS=STEPS)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "1 step 'photos' of cars#1 is tried again by its next crawl",
        "Left alone: 3 done (--state takes them)",
        "Run its crawl again to run them",
    ]
    assert opened(closed, "photos") == ["d"]
    assert opened(closed, "vin") == []
    document = json.loads(call("status", "--json").out)
    assert (document["status"], document["reason"]) == ("paused", "retry")
    assert document["requests"]["pending"] == 0
    assert call("status", "--check").code == 4
    assert call("retry", "--step", "vin", RESUME_STEPS=STEPS).code == 0
    assert opened(closed, "vin") == ["d"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--item", "a"], ["a"]),
        (["--item", "a", "--item", "c"], ["a", "c"]),
        (["--item", "a", "--state", "failed"], []),
        (["--state", "done,skipped"], ["a", "b", "c"]),
        (["--state", "done", "--limit", "1"], ["a"]),
        (["--missing", "vin"], ["c", "d"]),
        (["--missing", "vin", "--item", "c"], ["c"]),
        (["--outdated"], ["a", "b", "c", "d"]),
        (["--outdated", "--state", "done"], ["a", "b"]),
    ],
)
def test_steps_are_chosen(closed: Shelf, call: Call, words: list[str], expected: list[str]) -> None:
    shown = call("retry", "--step", "vin", "--dry-run", "--json", *words, RESUME_STEPS=STEPS)
    document = json.loads(shown.out)
    assert (document["steps"], document["items"]) == (len(expected), expected)
    assert opened(closed, "vin") == []
    listed = call("retry", "--step", "vin", "--dry-run", *words, RESUME_STEPS=STEPS).out
    assert listed.count("vin ") == len(expected)
    assert call("retry", "--step", "vin", *words, RESUME_STEPS=STEPS).code == 0
    assert opened(closed, "vin") == expected


def test_many_items_are_named_by_a_file_or_by_standard_input(
    closed: Shelf, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text("a\n\n#b\nzz\n")
    document = json.loads(
        call("retry", "--step", "vin", "--item-file", "keys", "--json", RESUME_STEPS=STEPS).out
    )
    assert (document["steps"], document["unknown"]) == (1, ["#b", "zz"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("c\n"))
    answer = call("retry", "--step", "vin", "--item-file", "-", RESUME_STEPS=STEPS)
    assert answer.out.startswith("1 step 'vin' of cars#1 is tried again")
    assert opened(closed, "vin") == ["a", "c"]


def test_unknown_names_are_said_with_what_is_like_them(closed: Shelf, call: Call) -> None:
    answer = call("retry", "--step", "foto", RESUME_STEPS=STEPS)
    assert (answer.code, answer.out) == (1, "")
    assert "No item of cars#1 has a step 'foto'; there are photos, vin." in answer.err
    job = closed.begin("more")
    give_items(job, {"k": "bicycle-1"})
    end(job, "vin", StepState.done, version="2")
    closed.close(job)
    shown = call("retry", "more", "--step", "vin", "--item", "bicycle-2", RESUME_STEPS=STEPS).out
    assert "No step 'vin' of more#1 is changed" in shown
    assert (
        "1 key is that of no item with steps: bicycle-2 (did you mean bicycle-1?)"
        in shown.splitlines()
    )
    closed.crawl(closed.begin("plain"), done=[[{"a": 1}]])
    assert "The items of plain#1 have no steps." in call("retry", "plain", "--step", "vin").err


def test_what_was_consumed_is_left_alone_and_its_pages_are_named(shelf: Shelf, call: Call) -> None:
    job = shelf.begin("texts")
    give_items(job, {"k": "a", "html": "<p>"}, {"k": "b", "html": "<p>"}, names=["text"])
    end(job, "text", StepState.done, gives={"text": "t"}, consumes="html", version="0")
    end(job, "text", StepState.failed, consumes="html", kept=True, error="OSError")
    shelf.close(job)
    answer = call("retry", "--step", "text", "--outdated", RESUME_STEPS=STEPS)
    first, second, _ = answer.out.splitlines()
    assert first == "1 step 'text' of texts#1 is tried again by its next crawl"
    assert second == (
        "Left alone: 1 item whose input for 'text' was consumed. Fetch their pages again: "
        "scrapy resume items 'texts#1' --step text --step-state done,skipped,failed,parked "
        "--outdated --urls | scrapy resume retry 'texts#1' --state done --url-file -"
    )
    assert opened(shelf, "text", "texts") == ["b"]
    words = ["--step", "text", "--step-state", "done,skipped,failed,parked", "--outdated", "--urls"]
    urls = call("items", "texts#1", *words, RESUME_STEPS=STEPS)
    assert urls.out == "http://127.0.0.1/page/1\n"
    document = json.loads(
        call("retry", "--step", "text", "--state", "done", "--json", RESUME_STEPS=STEPS).out
    )
    assert (document["steps"], document["consumed"]) == (0, 1)


def test_outdated_needs_the_project_s_code(closed: Shelf, call: Call) -> None:
    answer = call("retry", "--step", "vin", "--outdated")
    assert answer.code == 1
    assert "RESUME_STEPS has no step 'vin' here, so that its version is not known" in answer.err
    answer = call("retry", "--step", "vin", "--outdated", RESUME_STEPS={"shop.steps.vin": 1})
    assert answer.code == 1
    assert "'shop.steps.vin', which cannot be loaded" in answer.err
    shown = call("retry", "--step", "vin").out
    assert "RESUME_STEPS has no step 'vin' where this command is run" in shown


@pytest.mark.parametrize(
    "words",
    [
        ["--item", "a"],
        ["--outdated"],
        ["--step", "vin", "--url", "*"],
        ["--step", "vin", "--partial"],
        ["--step", "vin", "--max-attempts", "3"],
        ["--step", "vin", "--state", "lost"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(closed: Shelf, call: Call, words: list[str]) -> None:
    assert call("retry", *words, RESUME_STEPS=STEPS).code == 2
    assert opened(closed, "vin") == []


def test_a_state_that_cannot_be_retried_is_refused(closed: Shelf, call: Call) -> None:
    answer = call("retry", "--step", "vin", "--state", "pending", RESUME_STEPS=STEPS)
    assert answer.code == 1
    assert "cannot be retried" in answer.err


def test_steps_of_a_live_job_are_retried_by_its_process(shelf: Shelf, call: Call) -> None:
    job = cars(shelf)
    with shelf.listening(job):
        answer = call("retry", "--step", "vin", RESUME_STEPS=STEPS)
    assert answer.out.splitlines()[0] == (
        "1 step 'vin' of cars#1 is tried again by the crawl that is running"
    )
    assert opened(shelf, "vin") == ["d"]


def test_steps_that_never_succeed_are_given_up(closed: Shelf, call: Call) -> None:
    assert call("status", "--check").code == 3
    assert call("skip", "--step", "vin").out.splitlines()[0] == (
        "1 step 'vin' of cars#1 is given up"
    )
    assert json.loads(call("skip", "--step", "photos", "--json").out)["steps"] == 1
    assert call("status", "--check").code == 0
    assert call("skip", "--item", "d").code == 2


def test_from_python(closed: Shelf) -> None:
    place = str(closed.directory)
    assert retry(place, "cars", step="vin", dry_run=True) == 1
    assert retry(place, "cars", step="vin", items=["a", "zz"]) == 1
    assert retry(place, step="photos", state="done", limit=2) == 2
    assert skip(place, step="photos") == 1
    with pytest.raises(ConfigurationError, match="has a step 'foto'"):
        retry(place, step="foto")


def test_the_settings_of_the_job_s_spider_are_known(closed: Shelf, call: Call) -> None:
    modules = ["tests.commands.stepping_spider"]
    shown = call("retry", "--step", "vin", "--outdated", SPIDER_MODULES=modules).out
    assert "4 steps 'vin' of cars#1 are tried again" in shown
    assert "RESUME_STEPS" not in shown


def test_a_step_that_is_switched_off_is_said(closed: Shelf, call: Call) -> None:
    shown = call("retry", "--step", "vin", RESUME_STEPS={vin: None}).out
    assert "RESUME_STEPS switches 'vin' off: the crawl will skip it" in shown
    answer = call("retry", "--step", "vin", "--outdated", RESUME_STEPS={vin: None})
    assert "its version is not known" in answer.err


def test_a_retry_of_pages_is_as_before(closed: Shelf, call: Call) -> None:
    assert call("retry").out.splitlines() == [
        "No request of cars#1 is changed",
        "Left alone: 1 step 'photos' of items (scrapy resume retry 'cars#1' --step photos)",
        "Left alone: 1 step 'vin' of items (scrapy resume retry 'cars#1' --step vin)",
    ]
    assert json.loads(call("retry", "--json").out) == {
        "job": "cars#1",
        "requests": 0,
        "dry_run": False,
    }
    assert opened(closed, "vin") == opened(closed, "photos") == []
