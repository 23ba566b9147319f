from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from scrapy_resume.errors import (
    ConfigurationError,
    JobNotFoundError,
    SchemaTooNewError,
    StoreDamagedError,
)
from scrapy_resume.model import Counts, JobKey, JobSummary, Selection, State, UnitState
from scrapy_resume.reporting.reports import Reports, open_store

BEGAN = 1_700_000_000.0
BOOKS = JobSummary(
    key=JobKey("books", 1),
    spider="books",
    status="paused",
    reason="shutdown",
    alive=False,
    owner="host:7",
    owned_since=BEGAN,
    created_at=BEGAN,
    updated_at=BEGAN + 60,
    completed_at=None,
    counts=Counts(
        pending=3, leased=1, done=4, failed=1, delayed=2, items_stored=9, items_dropped=2
    ),
    metadata={"ticket": 7},
    arguments={"city": "Rome", "token": "***"},
)


def run(number: int, began: float, ended: float | None, pages: int = 0, **more: Any) -> dict:
    return {
        "number": number,
        "worker": "host:7",
        "status": "paused" if ended else "running",
        "reason": "shutdown" if ended else None,
        "started_at": began,
        "beat_at": ended or began,
        "ended_at": ended,
        "pages": pages,
        "items": 2 * pages,
        "stats": {"downloader/request_count": pages},
        **more,
    }


class FakeReader:
    def __init__(self, *summaries: JobSummary, runs: dict[JobKey, list] | None = None) -> None:
        self.summaries: dict[JobKey, JobSummary | Exception] = {s.key: s for s in summaries}
        self.all_runs = runs or {}
        self.asked: list[tuple[str | None, int | None]] = []

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def keys(self) -> list[JobKey]:
        return list(self.summaries)

    def step_counts(self, key: JobKey) -> dict[str, Any]:
        return {}

    def feed_notes(self, key: JobKey) -> list[Any]:
        return []

    def summary(self, key: JobKey) -> JobSummary:
        answer = self.summaries[key]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def runs(self, key: JobKey) -> list[dict[str, Any]]:
        return self.all_runs.get(key, [])

    def in_flight_urls(self, key: JobKey) -> list[str]:
        return ["http://a/1"]

    def requests(self, key: JobKey, state=None, limit=None) -> Iterator[dict[str, Any]]:
        self.asked.append((state, limit))
        yield {"url": f"http://a/{key}"}

    def unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        return {**dict.fromkeys(UnitState, 0), UnitState.partial: 2, UnitState.pending: 1}

    def named_unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        return {**dict.fromkeys(UnitState, 0), UnitState.partial: 1, UnitState.pending: 1}

    def items(self, key: JobKey) -> Iterator[tuple[str | None, str]]:
        yield from ()


def reports(
    *summaries: JobSummary, runs: list[dict] | None = None, now: float = BEGAN + 3_600
) -> Reports:
    first = summaries[0].key if summaries else None
    reader = FakeReader(*summaries, runs={first: runs or []})
    return Reports(reader, "/store", now=lambda: now)


def job(name: str, number: int = 1, **changes: Any) -> JobSummary:
    return replace(BOOKS, key=JobKey(name, number), **changes)


# -- a job's document


def test_a_job_is_described_as_the_interface_says():
    answer = reports(BOOKS, runs=[run(1, BEGAN, BEGAN + 60, pages=6)]).job("books#1")
    assert answer == {
        "job": "books",
        "number": 1,
        "spider": "books",
        "kind": "crawl",
        "status": "paused",
        "reason": "shutdown",
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:14:20Z",
        "completed_at": None,
        "requests": {
            "pending": 3,
            "leased": 1,
            "done": 4,
            "failed": 1,
            "parked": 0,
            "ignored": 0,
            "delayed": 2,
            "total": 9,
        },
        "items": {"stored": 9, "dropped": 2, "failed": 0},
        "units": {
            "pending": 1,
            "in_progress": 0,
            "completed": 0,
            "partial": 2,
            "failed": 0,
            "parked": 0,
            "total": 3,
        },
        "success_rate": 0.8,
        "pages_per_minute": 6.0,
        "items_per_minute": 12.0,
        "named_units": {
            "pending": 1,
            "in_progress": 0,
            "completed": 0,
            "partial": 1,
            "failed": 0,
            "parked": 0,
            "total": 2,
        },
        "units_per_hour": None,
        "arguments": {"city": "Rome", "token": "***"},
        "metadata": {"ticket": 7},
        "custom": {},
        "custom_shares": {},
        "expected_total": None,
        "elapsed_seconds": 60.0,
        "eta_seconds": None,
        "eta_basis": None,
        "in_flight": [],
        "held": [],
        "error": None,
        "steps": {},
        "undelivered": [],
        "runs": [
            {
                "number": 1,
                "worker": "host:7",
                "status": "paused",
                "reason": "shutdown",
                "started_at": "2023-11-14T22:13:20Z",
                "ended_at": "2023-11-14T22:14:20Z",
                "pages": 6,
                "items": 12,
            }
        ],
    }


@pytest.mark.parametrize("stored", ["running", "recovering"])
def test_a_job_without_a_live_owner_is_shown_as_crashed(stored):
    crashed = replace(BOOKS, status=stored, reason=None, alive=False)
    answer = reports(crashed, runs=[run(1, BEGAN, None)]).job()
    assert (answer["status"], answer["runs"][0]["status"]) == ("crashed", "crashed")
    alive = replace(crashed, alive=True)
    answer = reports(alive, runs=[run(1, BEGAN, None)]).job()
    assert (answer["status"], answer["runs"][0]["status"]) == (stored, "running")


def test_before_the_first_run_nothing_is_known_of_its_pace():
    fresh = replace(BOOKS, status="initialized", reason=None, counts=Counts())
    answer = reports(fresh).job()
    assert answer["pages_per_minute"] is None
    assert answer["eta_seconds"] is None
    assert answer["success_rate"] is None
    assert answer["elapsed_seconds"] == 0


def test_elapsed_time_is_that_of_all_runs_and_a_dead_one_lasted_until_its_last_heartbeat():
    runs = [
        run(1, BEGAN, None, beat_at=BEGAN + 30, pages=10),
        run(2, BEGAN + 1000, BEGAN + 1090, pages=10),
    ]
    answer = reports(BOOKS, runs=runs).job()
    assert answer["elapsed_seconds"] == 120
    assert answer["pages_per_minute"] == 10


def test_the_pace_of_a_live_job_is_that_of_its_present_run():
    now = BEGAN + 1_000
    runs = [run(1, BEGAN, BEGAN + 60, pages=1), run(2, now - 60, None, pages=60)]
    live = replace(BOOKS, status="running", reason=None, alive=True)
    answer = reports(live, runs=runs, now=now).job()
    assert answer["pages_per_minute"] == 60
    assert answer["eta_seconds"] == 4
    assert answer["elapsed_seconds"] == 120
    assert answer["in_flight"] == ["http://a/1"]


def test_a_completed_job_has_nothing_to_wait_for():
    completed = replace(BOOKS, status="completed", reason="finished", completed_at=BEGAN + 60)
    answer = reports(completed, runs=[run(1, BEGAN, BEGAN + 60)]).job()
    assert answer["eta_seconds"] == 0
    assert answer["completed_at"] == "2023-11-14T22:14:20Z"


# -- all jobs


def test_jobs_are_listed_with_the_latest_updated_first():
    listed = reports(
        job("a", updated_at=BEGAN + 0.1), job("b", updated_at=BEGAN + 0.3), job("c", updated_at=0)
    ).jobs()
    assert [answer["job"] for answer in listed] == ["b", "a", "c"]
    assert listed[0] == reports(job("b", updated_at=BEGAN + 0.3)).job()


def test_a_damaged_job_does_not_hide_the_others():
    reader = FakeReader(job("a"), job("b"), job("c"))
    reader.summaries[JobKey("a", 1)] = StoreDamagedError("a#1.sqlite3 is not a database")
    reader.summaries[JobKey("b", 1)] = SchemaTooNewError("b#1.sqlite3 has schema 9")
    listed = Reports(reader, "/store").jobs()
    assert [(answer["job"], answer["status"]) for answer in listed] == [
        ("c", "paused"),
        ("a", "damaged"),
        ("b", "unreadable"),
    ]
    assert listed[1]["error"] == "a#1.sqlite3 is not a database"
    assert set(listed[1]) == {*listed[0], "error"}
    assert listed[1]["requests"] is None


def test_a_job_that_was_deleted_meanwhile_is_left_out():
    reader = FakeReader(job("a"), job("b"))
    reader.summaries[JobKey("a", 1)] = JobNotFoundError("gone")
    assert [answer["job"] for answer in Reports(reader, "/store").jobs()] == ["b"]


# -- which job is meant


def test_a_name_without_a_number_means_the_latest():
    store = reports(job("books", 9), job("books", 10), job("other", 11))
    assert store.find("books") == JobKey("books", 10)
    assert store.find("books#9") == JobKey("books", 9)


def test_a_name_with_a_number_sign_in_it_is_found():
    store = reports(job("c#"), job("c#7", 2))
    assert store.find("c#") == JobKey("c#", 1)
    assert store.find("c##1") == JobKey("c#", 1)
    assert store.find("c#7") == JobKey("c#7", 2)
    assert store.find("c#7#2") == JobKey("c#7", 2)


def test_the_job_may_be_left_out_if_there_is_just_one():
    assert reports(job("books", 1), job("books", 2)).find() == JobKey("books", 2)
    with pytest.raises(JobNotFoundError, match=r"Which job\? There are books, other\."):
        reports(job("other"), job("books")).find()


def test_a_key_needs_no_look_up():
    reader = FakeReader(job("c#7", 1), job("c", 7))
    store = Reports(reader, "/store")
    assert store.find(JobKey("c#7", 1)) == JobKey("c#7", 1)
    assert store.job(JobKey("c#7", 1))["job"] == "c#7"
    with pytest.raises(KeyError):
        store.job(JobKey("gone", 1))


def test_a_mistyped_name_suggests_the_nearest():
    store = reports(job("books"), job("quotes"))
    with pytest.raises(JobNotFoundError, match=r"no job boks in /store\. .*nearest: books\."):
        store.job("boks")
    with pytest.raises(JobNotFoundError, match=r"nearest: books#1\."):
        store.job("books#4")
    with pytest.raises(JobNotFoundError, match=r"nearest: books, quotes\."):
        store.job("zzz")


def test_a_store_without_jobs_says_so():
    with pytest.raises(JobNotFoundError, match="no jobs in /store"):
        reports().job("books")


# -- requests and items


def test_requests_are_those_of_the_job_in_the_state():
    reader = FakeReader(job("books", 1), job("books", 2))
    store = Reports(reader, "/store")
    assert list(store.requests("books", state="failed", limit=5)) == [{"url": "http://a/books#2"}]
    assert list(store.requests("books#1")) == [{"url": "http://a/books#1"}]
    assert reader.asked == [(Selection((State.failed,)), 5), (Selection(), None)]


def test_an_unknown_state_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="unknown state 'lost'; use one of pending, leased"):
        reports(BOOKS).requests("books", state="lost")


def test_a_store_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="redis://"):
        open_store("redis://host/0")


def test_a_directory_that_does_not_exist_is_a_store_without_jobs(tmp_path):
    assert open_store(tmp_path / "none").jobs() == []
    assert not (tmp_path / "none").exists()
