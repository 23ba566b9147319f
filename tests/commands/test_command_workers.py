"""``scrapy resume workers``, and what ``show`` says of where a job stands."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import open_store
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import Batch
from tests.support.postgres import postgres_server

from .clock import Clock
from .conftest import Answer, Shelf
from .test_screens import clock

__all__ = ["clock", "postgres_server"]

Call = Callable[..., Answer]


@pytest.fixture(params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_server").new_database()
    shelf = Shelf(tmp_path / "store", url)
    yield shelf
    for job in shelf.open_jobs:
        job.abandon()


def workers(call: Call, *words: str) -> list[dict[str, Any]]:
    answer = call("workers", *words, "--json")
    assert (answer.code, answer.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(answer.out)
    return found


def test_it_says_who_works_with_what_in_hand(shelf: Shelf, call: Call) -> None:
    job = shelf.begin("books", worker="crawler-1:4711")
    first = job.session.ids.first
    shelf.crawl(job, done=[[{"a": 1}]], leased=3, pending=2)
    job.mark(first + 2, Phase.sent)
    job.commit(Batch(next_id=first + 10))
    (worker,) = workers(call)
    assert worker["worker"] == "crawler-1:4711"
    assert (worker["run"], worker["status"], worker["stale"]) == (1, "running", False)
    held = [f"http://127.0.0.1/page/{first + at}" for at in (1, 2, 3)]
    assert worker["in_hand"] == held
    assert worker["started_at"] <= worker["heartbeat_at"]
    assert open_store(shelf.location).workers("books")[0]["in_hand"] == worker["in_hand"]
    lines = call("workers").out.splitlines()
    assert lines[0].split() == [
        "WORKER",
        "STATUS",
        "RUN",
        "SINCE",
        "HEARTBEAT",
        "IN",
        "HAND",
        "PAGES",
        "ITEMS",
    ]
    assert lines[1].split()[:3] == ["crawler-1:4711", "running", "1"]
    assert lines[-3:] == [f"  {url}" for url in held]


def test_a_worker_that_died_is_stale_until_it_is_recovered(shelf: Shelf, call: Call) -> None:
    job = shelf.begin("books", orphan_seconds=0.3, heartbeat_seconds=0.1)
    shelf.crawl(job, leased=2)
    shelf.crash(job)
    deadline = time.monotonic() + 30.0
    while not (worker := workers(call)[0])["stale"]:
        assert time.monotonic() < deadline
    assert (worker["status"], worker["stale"]) == ("crashed", True)
    answer = call("workers")
    assert answer.code == 0
    assert "crashed" in answer.out
    assert "`scrapy resume recover books#1` takes back" in answer.out
    assert call("recover").code == 0
    assert workers(call) == []


def test_nobody_works_on_a_job_at_rest(shelf: Shelf, call: Call) -> None:
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]], pending=1)
    shelf.close(job, "paused", "shutdown")
    assert workers(call) == []
    answer = call("workers")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "Nobody works on books#1, which is paused.\n"
    assert call("workers", "quotes").code == 1


def test_show_says_where_the_job_stands_and_what_failed(shelf: Shelf, call: Call) -> None:
    job = shelf.begin("books")
    first = job.session.ids.first
    shelf.crawl(job, done=[[], []], failed=["no luck"], pending=1)
    shown = json.loads(call("show", "--json").out)
    assert shown["resume_point"]["url"] == f"http://127.0.0.1/page/{first + 1}"
    assert [group["error_message"] for group in shown["failures"]] == ["no luck"]
    text = call("show").out
    assert f"position  http://127.0.0.1/page/{first + 1}, finished 2" in text
    assert "no luck" in text


def test_show_says_where_nothing_was_finished_yet(shelf: Shelf, call: Call) -> None:
    shelf.crawl(shelf.begin("books"), pending=1)
    shown = json.loads(call("show", "--json").out)
    assert (shown["resume_point"], shown["failures"], shown["inputs"]) == (None, [], [])
    assert "position" not in call("show").out


def test_show_says_whether_input_files_are_what_they_were(
    shelf: Shelf, call: Call, tmp_path: Path
) -> None:
    files = {name: tmp_path / name for name in ("same.csv", "changed.csv", "gone.csv")}
    hashes = {str(path): hashlib.sha256(b"seeds").hexdigest() for path in files.values()}
    shelf.begin("books", input_hashes=hashes)
    files["same.csv"].write_bytes(b"seeds")
    files["changed.csv"].write_bytes(b"seeds\n")
    shown = json.loads(call("show", "--json").out)
    states = {Path(row["file"]).name: row["state"] for row in shown["inputs"]}
    assert states == {"same.csv": "unchanged", "changed.csv": "changed", "gone.csv": "unreadable"}
    assert shown["input_hashes"] == hashes
    assert f"input     changed  {files['changed.csv']}" in call("show").out


def test_a_process_that_hangs_is_stale_although_it_is_alive(
    tmp_path: Path, call: Call, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "hung")
    job = shelf.begin("books", heartbeat_seconds=20.0)
    try:
        for seconds, status in ((59, "running"), (2, "stale")):
            clock.go_on(seconds)
            answer = call("workers", RESUME_STORE=shelf.location)
            assert answer.out.splitlines()[1].split()[1] == status
            assert ("shows no sign of life" in answer.out) == (status == "stale")
        (worker,) = open_store(shelf.location).workers("books")
        assert (worker["status"], worker["silent_seconds"]) == ("running", 61.0)
    finally:
        job.abandon()
