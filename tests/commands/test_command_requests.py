from __future__ import annotations

import csv
import json

import pytest

from scrapy_resume.model import State
from scrapy_resume.store.contract import Batch, Finish
from tests.contract.records import continuation


@pytest.fixture
def shelf_of_all(shelf):
    """A completed job with two pages done, two failed, one ignored."""
    job = shelf.begin("books")
    shelf.crawl(job, done=[[{"a": 1}], []], failed=["bang", "boom\x1b[31m"], ignored=1)
    shelf.close(job)
    return shelf


def urls(answer):
    assert (answer.code, answer.err) == (0, "")
    return [row["url"].rpartition("/")[2] for row in json.loads(answer.out)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["1", "2", "3", "4", "5"]),
        (["--state", "failed"], ["3", "4"]),
        (["--state", "failed,ignored"], ["3", "4", "5"]),
        (["--status", "500"], ["3", "4"]),
        (["--error", "HttpError"], ["3", "4", "5"]),
        (["--host", "127.0.0.1", "--limit", "2"], ["1", "2"]),
        (["--host", "elsewhere.example"], []),
        (["--url", "*/page/4"], ["4"]),
        (["--callback", "parse", "--state", "done"], ["1", "2"]),
        (["--unit", "http://127.0.0.1/page/2"], ["2"]),
        (["--partial"], []),
        (["--limit", "0"], []),
    ],
)
def test_requests_that_a_filter_lets_through(shelf_of_all, call, words, expected):
    assert urls(call("requests", "books", *words, "--json")) == expected


def test_a_table_for_people_shows_no_escape_sequences(shelf_of_all, call):
    answer = call("requests", "--state", "failed")
    heading, *rows = answer.out.splitlines()
    assert heading.split() == ["STATE", "TRIES", "HTTP", "ERROR", "ITEMS", "URL"]
    assert rows[0].split() == ["failed", "1", "500", "HttpError", "0", "http://127.0.0.1/page/3"]
    assert call("requests", "--state", "parked").out == ""
    shown = call("failed")
    assert "\x1b" not in shown.out
    assert "\\x1b" in shown.out


def test_a_request_that_waits_says_until_when(shelf, call):
    job = shelf.begin("books")
    shelf.crawl(job, leased=1)
    row = job.session.ids.first
    waits = continuation(row, lease=False, not_before=4e9)
    job.commit(Batch(next_id=row + 1, arrivals=[waits]))
    shelf.close(job)
    (line,) = call("requests").out.splitlines()[1:]
    assert line.split()[:5] == ["delayed", "1", "-", "until", "2096-10-02T07:06:40Z"]


@pytest.mark.parametrize("words", [["--state", "fetched"], ["--status", "x"], ["--limit", "-1"]])
def test_what_makes_no_sense_is_wrong_usage(shelf_of_all, call, words):
    answer = call("requests", *words)
    assert answer.code == 2
    assert not answer.out


def test_failures_are_grouped_by_error(shelf_of_all, call):
    [group] = json.loads(call("failed", "books", "--json").out)
    assert (group["error"], group["http_status"], group["count"]) == ("HttpError", 500, 2)
    assert group["examples"] == ["http://127.0.0.1/page/3", "http://127.0.0.1/page/4"]
    text = call("failed").out
    assert text.startswith("2 x HttpError (HTTP 500), ")
    assert "http://127.0.0.1/page/3" in text


def test_a_job_without_failures_says_so(shelf, call):
    shelf.close(shelf.begin("books"))
    assert call("failed").out == "No request of books#1 has failed.\n"
    assert json.loads(call("failed", "--json").out) == []


def test_failures_of_a_unit_that_is_not_there_are_not_denied_to_the_job(shelf_of_all, call):
    assert call("failed", "--unit", "Pariss").out == (
        "No request of books#1 of that unit has failed.\n"
    )


def test_parked_requests_are_not_passed_over_by_the_failed_ones(shelf_of_all, call):
    parked = len(urls(call("requests", "--state", "parked", "--json")))
    assert call("park", "--state", "failed").code == 0
    assert call("failed").out.splitlines() == [
        "No request of books#1 has failed.",
        f"{parked + 2} requests are parked: scrapy resume requests books#1 --state parked",
    ]
    assert json.loads(call("failed", "--json").out) == []


def test_a_plain_retry_names_the_pages_that_lost_items(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, leased=1)
    row = Finish(id=1, state=State.done, attempts=1, items_failed=2)
    job.commit(Batch(next_id=100, finishes=[row]))
    shelf.close(job)
    said = "Left alone: pages that are done, but lost 2 items (--partial takes them)"
    assert call("retry").out.splitlines() == ["No request of books#1 is changed", said]
    assert said not in call("retry", "--partial").out


def test_retry_opens_a_completed_job_again(shelf_of_all, call):
    answer = call("retry", "books", "--url", "*/3", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("1 request of books#1 would be")
    assert urls(call("requests", "--state", "failed", "--json")) == ["3", "4"]
    answer = call("retry", "books", "--url", "*/3", "--json")
    assert json.loads(answer.out) == {"job": "books#1", "requests": 1, "dry_run": False}
    assert urls(call("requests", "--state", "pending", "--json")) == ["3"]
    status = json.loads(call("status", "--json").out)
    assert (status["status"], status["reason"], status["completed_at"]) == ("paused", "retry", None)
    assert (status["requests"]["pending"], status["requests"]["failed"]) == (1, 1)


def test_done_requests_are_retried_only_when_they_are_named(shelf_of_all, call):
    assert json.loads(call("retry", "--json").out)["requests"] == 2
    assert json.loads(call("retry", "--state", "done", "--json").out)["requests"] == 2
    assert urls(call("requests", "--state", "pending", "--json")) == ["1", "2", "3", "4"]


def test_park_needs_a_filter(shelf_of_all, call):
    answer = call("park", "books")
    assert answer.code == 2
    assert "filter" in answer.err
    assert json.loads(call("park", "--state", "failed", "--url", "*/4", "--json").out) == {
        "job": "books#1",
        "requests": 1,
        "dry_run": False,
    }
    assert urls(call("requests", "--state", "parked", "--json")) == ["4"]
    assert json.loads(call("status", "--json").out)["status"] == "completed"


@pytest.mark.parametrize("words", [["retry", "--state", "pending"], ["park", "--state", "done"]])
def test_what_cannot_be_changed_is_refused_with_what_can(shelf_of_all, call, words):
    answer = call(*words)
    assert answer.code == 1
    assert "failed" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_live_job_is_changed_by_its_owner(shelf, call):
    job = shelf.begin("books")
    shelf.crawl(job, failed=["boom"])
    assert json.loads(call("retry", "--dry-run", "--json").out)["requests"] == 1
    with shelf.listening(job):
        answer = call("retry", "--json")
    assert (answer.code, json.loads(answer.out)["requests"]) == (0, 1)
    assert urls(call("requests", "--state", "pending", "--json")) == ["1"]


def test_a_mistyped_job_names_the_nearest(shelf_of_all, call):
    answer = call("retry", "boks")
    assert answer.code == 1
    assert "books" in answer.err


FORMULAS = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "  =1", "\t=1", "\r=1"]


def test_a_spreadsheet_takes_nothing_from_the_web_for_a_formula(shelf, call, tmp_path):
    shelf.crawl(shelf.begin(), done=[[]], failed=[*FORMULAS, 'a, "quoted"\nmessage'])
    answer = call("requests", "--state", "failed", "-o", "x.csv")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "8 requests of books#1 are in x.csv (csv)\n"
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["error_message"] for row in rows] == [
        *(f"'{formula}" for formula in FORMULAS),
        'a, "quoted"\nmessage',
    ]
    assert list(rows[0]) == list(json.loads(call("requests", "--limit", "1", "--json").out)[0])


@pytest.mark.parametrize(
    ("name", "read"),
    [("x.json", json.loads), ("X.JSONL", lambda text: [*map(json.loads, text.splitlines())])],
)
def test_requests_in_a_file_are_those_of_the_document(shelf_of_all, call, tmp_path, name, read):
    assert call("requests", "--state", "failed", "-o", name).code == 0
    document = json.loads(call("requests", "--state", "failed", "--json").out)
    assert read((tmp_path / name).read_text()) == document
    assert call("requests", "--state", "parked", "-o", f"none{name}").code == 0
    assert read((tmp_path / f"none{name}").read_text()) == []


def test_a_file_of_requests_is_whole_or_not_there(shelf_of_all, call, tmp_path):
    (tmp_path / "x.csv").write_text("precious")
    assert call("requests", "-o", "x.csv").code == 1
    assert (tmp_path / "x.csv").read_text() == "precious"
    assert call("requests", "-o", "x.csv", "--overwrite").code == 0
    assert call("requests", "-o", "x.xlsx").code == 2
    assert call("requests", "boks", "-o", "y.csv").code == 1
    assert not (tmp_path / "y.csv").exists()
