from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest

from scrapy_resume.events.log_files import segments
from scrapy_resume.events.log_writer import EventLogWriter
from scrapy_resume.model import Counts, JobKey, State
from scrapy_resume.store.contract import Batch, Committed, Finish
from tests.support import schemas

LIMIT_SECONDS = 30.0


class Page:
    def __init__(self, url):
        self.url = url


def log_of(shelf, job, url="http://shop.example/1", directory=None):
    log = EventLogWriter(directory or shelf.directory / "events", job.session, "host:7", 900)
    log.started(job.session, "books")
    ended = Finish(
        id=1,
        state=State.failed,
        attempts=2,
        http_status=500,
        error="HttpError",
        error_message="m",
        origin=Page(url),
    )
    log.committed(Batch(next_id=1, finishes=[ended]), Committed())
    return log


@pytest.fixture
def logged(shelf):
    """books#1 has run twice, with a log."""
    job = shelf.begin()
    log_of(shelf, job)._join()
    shelf.close(job, "paused", "shutdown")
    job = shelf.store.resume(JobKey("books", 1), shelf.opening())
    shelf.open_jobs.append(job)
    log = log_of(shelf, job, "http://shop.example/\x1b[31m")
    log.closed("completed", "finished", Counts(failed=1), 1)
    log._join()
    shelf.close(job)
    return shelf


def test_events_of_all_runs_are_printed_for_people(logged, call):
    answer = call("log")
    assert (answer.code, answer.err) == (0, "")
    lines = [line.split("  ", 1)[1] for line in answer.out.splitlines()]
    failed = "http_status=500 attempts=2 items=0 error=HttpError error_message=m"
    assert [line.split("  ")[:2] for line in lines] == [
        ["run 1", "run_started"],
        ["run 1", "request_failed"],
        ["run 2", "run_started"],
        ["run 2", "request_failed"],
        ["run 2", "run_closed"],
    ]
    assert lines[1] == f"run 1  request_failed  http://shop.example/1 {failed}"
    assert lines[3] == f"run 2  request_failed  http://shop.example/\\x1b[31m {failed}"
    assert lines[4] == "run 2  run_closed  status=completed reason=finished pages=1 failed=1"
    assert "\x1b" not in answer.out


def test_json_is_one_array(logged, call):
    answer = call("log", "books", "--json")
    assert (answer.code, answer.err) == (0, "")
    events = json.loads(answer.out)
    assert len(events) == 5
    assert events[3]["url"] == "http://shop.example/\x1b[31m"


def test_the_schema_holds_each_event_to_its_type(logged, call):
    for event in json.loads(call("log", "--json").out):
        other = "breaker_closed"
        for wrong in ({**event, "nonsense": 1}, {**event, "type": other}):
            with pytest.raises(jsonschema.ValidationError):
                schemas.check([wrong], "log")


def test_types_can_be_chosen(logged, call):
    events = json.loads(call("log", "--type", "run_closed,request_failed", "--json").out)
    assert [event["type"] for event in events] == ["request_failed"] * 2 + ["run_closed"]
    assert call("log", "--type", "heartbeat").out == ""
    wrong = call("log", "--type", "page_done")
    assert wrong.code == 2
    assert "request_done" in wrong.err


def test_without_a_log_it_says_how_to_have_one(shelf, call):
    shelf.close(shelf.begin())
    answer = call("log")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "RESUME_EVENT_LOG=True" in answer.err
    assert call("log", "boks").code == 1


def test_a_directory_of_its_own_is_read(shelf, call, tmp_path):
    job = shelf.begin()
    log_of(shelf, job, directory=tmp_path / "elsewhere")._join()
    assert call("log").code == 1
    assert call("log", RESUME_EVENT_LOG=str(tmp_path / "elsewhere")).out.count("\n") == 2


def test_the_log_is_deleted_with_the_job(logged, call):
    shelf = logged
    shelf.close(other := shelf.begin("quotes"))
    assert other
    assert len(segments(shelf.directory / "events", JobKey("books", 1))) == 2
    assert call("reset", "books", "--yes").code == 0
    assert segments(shelf.directory / "events", JobKey("books", 1)) == []


def test_what_is_added_is_followed_until_ctrl_c(shelf, tmp_path):
    job = shelf.begin()
    log = log_of(shelf, job)
    command = [sys.executable, "-m", "scrapy", "resume", "log", "--follow", "--json"]
    with subprocess.Popen(
        [*command, "-s", "RESUME_STORE=store"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            events = [json.loads(process.stdout.readline()) for _ in range(2)]
            log.closed("paused", "shutdown", Counts(), 0)
            events.append(json.loads(process.stdout.readline()))
        finally:
            os.kill(process.pid, signal.SIGINT)
        schemas.check(events, "log")
        types = [event["type"] for event in events]
        assert types == ["run_started", "request_failed", "run_closed"]
        until = time.monotonic() + LIMIT_SECONDS
        assert process.wait(until - time.monotonic()) == 130
        assert process.stderr.read() == ""
