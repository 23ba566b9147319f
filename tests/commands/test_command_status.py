from __future__ import annotations

import json
import re
import time

import pytest

from scrapy_resume.model import State
from scrapy_resume.store.contract import Batch, Finish


def test_one_screen_says_what_matters(shelf, call):
    job = shelf.begin(metadata={"ticket": 7})
    shelf.crawl(
        job, done=[[{"a": 1}]] * 5, failed=["it broke\nbadly"], ignored=1, pending=2, leased=1
    )
    answer = call("status")
    assert (answer.code, answer.err) == (0, "")
    assert re.match(r"books#1  running since \S+ as host:7\n", answer.out)
    assert "[############################------------] 70.0% (7/10)" in answer.out
    assert "requests  done 5  failed 1  parked 0  ignored 1" in answer.out
    assert "open      pending 2  delayed 0  leased 1" in answer.out
    assert "items     stored 5  dropped 0  failed 0" in answer.out
    assert "success   83.3%" in answer.out
    assert "metadata  ticket=7" in answer.out
    assert re.search(r"in flight\n  http://127\.0\.0\.1/page/\d+\n", answer.out)
    assert re.search(
        r"failures\n  http://\S+  failed: HttpError: HTTP 500 it broke badly\n"
        r"  to fetch them again: scrapy resume retry books#1\n",
        answer.out,
    )


def test_what_pages_have_lost_is_an_example_with_the_way_on(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, leased=1)
    message = "item 1: file http://127.0.0.1/a.png: HTTP 404 Not Found"
    lost = {"items_failed": 2, "error": "FileException", "error_message": message}
    job.commit(Batch(next_id=100, finishes=[Finish(id=1, state=State.done, attempts=1, **lost)]))
    shelf.close(job)
    assert call("status").out.splitlines()[-4:] == [
        "items or files lost: 2",
        f"  2 of 1 request, FileException, for example: {message}",
        "  which pages: scrapy resume requests books#1 --partial",
        "  to fetch them again: scrapy resume retry books#1 --partial",
    ]


def test_what_a_command_has_changed_is_dated_by_that_command(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"a": 1}]], failed=["boom"])
    shelf.close(job)
    shelf.age("books#1", 3)
    ended = json.loads(call("status", "--json").out)["completed_at"]
    assert f"completed (finished) at {ended}" in call("status").out
    assert call("retry").code == 0
    answer = json.loads(call("status", "--json").out)
    assert answer["updated_at"] > ended
    assert f"paused (retry) at {answer['updated_at']}, was" in call("status").out


def test_the_screen_stays_one_screen(shelf, call):
    shelf.crawl(shelf.begin(), failed=[f"number {n}" for n in range(50)], leased=50)
    answer = call("status")
    assert len(answer.out.splitlines()) < 40
    assert "... and 45 more" in answer.out
    assert "... and 42 more" in answer.out


def test_json_is_the_document_of_the_interface(shelf, call):
    shelf.crawl(shelf.begin(), done=[[{"a": 1}]], pending=1, leased=1)
    answer = call("status", "books#1", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = json.loads(answer.out)
    assert document["job"] == "books"
    assert document["number"] == 1
    assert document["status"] == "running"
    assert document["requests"] == {
        "pending": 1,
        "leased": 1,
        "done": 1,
        "failed": 0,
        "parked": 0,
        "ignored": 0,
        "delayed": 0,
        "total": 3,
    }
    assert document["items"] == {"stored": 1, "dropped": 0, "failed": 0}
    assert len(document["in_flight"]) == 1
    assert document["runs"][0]["worker"] == "host:7"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["created_at"])


def test_a_job_whose_process_died_is_crashed(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, pending=1)
    shelf.crash(job)
    assert json.loads(call("status", "--json").out)["status"] == "crashed"
    assert "crashed" in call("status").out


def test_check_is_0_for_a_job_that_completed_without_failures(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[]], ignored=1)
    shelf.close(job)
    assert call("status", "--check").code == 0


def test_check_is_3_for_a_job_that_completed_with_failures(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[]], failed=["boom"])
    shelf.close(job)
    assert call("status", "--check").code == 3
    assert call("status", "--check", "--json").code == 3
    assert call("status").code == 0


def test_check_is_3_for_a_job_that_completed_with_lost_items(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[]], items_failed=1)
    shelf.close(job)
    assert call("status", "--check").code == 3


@pytest.mark.parametrize("ending", ["close", "crash", "nothing"])
def test_check_is_4_for_a_job_that_is_not_completed(shelf, call, ending):
    job = shelf.begin()
    shelf.crawl(job, pending=1)
    if ending == "close":
        shelf.close(job, "paused", "shutdown")
    elif ending == "crash":
        shelf.crash(job)
    assert call("status", "--check").code == 4


def test_a_job_that_is_not_there_is_one_line_and_exit_code_1(shelf, call):
    shelf.close(shelf.begin())
    answer = call("status", "boks", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "The nearest: books." in answer.err
    assert "Traceback" not in answer.err


def test_a_damaged_job_is_one_line_and_exit_code_1(shelf, call):
    shelf.close(shelf.begin())
    file = shelf.damage("books")
    for arguments in (["status"], ["status", "--check"], ["status", "--json"]):
        answer = call(*arguments)
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.count("\n") == 1
        assert str(file) in answer.err


def test_what_came_from_the_web_cannot_steer_the_terminal(shelf, call):
    shelf.crawl(shelf.begin(), failed=["\x1b]0;owned\x07 \u202etxt"])
    shown = call("status").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b]0;owned\\x07 \\u202etxt" in shown


def test_global_options_may_stand_anywhere(shelf, call, tmp_path):
    shelf.close(shelf.begin())
    elsewhere = f"RESUME_STORE={tmp_path / 'elsewhere'}"
    assert call("status", "books").code == 0
    assert call("-s", elsewhere, "status", "books").code == 1
    assert call("status", "books", "-s", elsewhere).code == 1
    assert call("status", "--nolog", "books").code == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["statis"], ["status", "--bogus"], ["status", "a", "b"], ["status", "-s", "x"]],
)
def test_wrong_usage_is_exit_code_2(shelf, call, arguments):
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("arguments", [["-h"], ["status", "--help"], ["-h", "export"]])
def test_help_is_that_of_the_subcommand(call, arguments):
    answer = call(*arguments)
    assert answer.code == 0
    named = next((word for word in arguments if not word.startswith("-")), "")
    assert answer.out.startswith(f"usage: scrapy resume {named}".rstrip())


def test_asking_changes_nothing(shelf, call):
    live = shelf.begin("live")
    shelf.crawl(live, done=[[{"a": 1}]], leased=1)
    dead = shelf.begin("dead")
    shelf.crawl(dead, pending=3)
    shelf.crash(dead)
    before = _contents(shelf.directory)
    time.sleep(0.02)
    for arguments in (["list"], ["status", "live"], ["status", "dead", "--json"]):
        assert call(*arguments).code == 0
    assert call("export", "live", "-o", "-:jsonlines").code == 0
    assert _contents(shelf.directory) == before


def _contents(directory):
    """What is stored. A reader may leave SQLite's shared memory and an empty WAL behind."""
    files = sorted(directory.iterdir())
    kept = [file for file in files if not file.name.endswith("-shm") and file.stat().st_size]
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in kept}
