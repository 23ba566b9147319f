"""The read side: never writes, never waits, and reads what there is."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey, Phase, Selection, State
from scrapy_resume.store.contract import Admission, Batch, Closing, Finish, ItemRecord, Opening
from scrapy_resume.store.sqlite.job import SqliteJob
from scrapy_resume.store.sqlite.reader import SqliteReader, read_summary
from scrapy_resume.store.sqlite.store import SqliteStore

KEY = JobKey("books", 1)

COLUMNS = [
    "url",
    "method",
    "state",
    "priority",
    "depth",
    "callback",
    "attempts",
    "crashes",
    "http_status",
    "error",
    "error_message",
    "not_before",
    "updated_at",
    "first_failed_at",
    "items",
    "items_failed",
    "unit",
    "worker",
    "leased_at",
]


def admission(row: int, **fields: object) -> Admission:
    defaults: dict[str, object] = {
        "id": row,
        "identity": row.to_bytes(20, "big"),
        "parent": 0,
        "url": f"http://h/{row}",
        "payload": "{}",
        "slot": "h",
        "priority": 0,
        "start": 0,
        "seq": row,
        "unit": row,
    }
    return Admission(**{**defaults, **fields})  # type: ignore[arg-type]


@pytest.fixture
def job(tmp_path: Path) -> SqliteJob:
    job = SqliteStore(tmp_path).begin(KEY, Opening("books", "host:1"))
    arrivals = [
        admission(1, lease=True),
        admission(2, lease=True, payload='{"method":"POST","callback":"parse_two"}'),
        admission(3, not_before=2e9, unit="a unit"),
        admission(4, priority=3, depth=2),
    ]
    finish = Finish(
        id=1,
        state=State.done,
        attempts=2,
        http_status=200,
        items=[ItemRecord(0, "a"), ItemRecord(1, "b", "k")],
    )
    job.commit(Batch(next_id=5, arrivals=arrivals, finishes=[finish]))
    return job


@pytest.fixture
def reader(tmp_path: Path) -> SqliteReader:
    return SqliteReader(tmp_path)


def test_requests_have_the_columns_of_the_interface(job: SqliteJob, reader: SqliteReader) -> None:
    one, two, three, four = reader.requests(KEY)
    assert list(one) == COLUMNS
    assert (one["state"], one["attempts"], one["http_status"], one["items"]) == ("done", 2, 200, 2)
    assert (one["method"], one["callback"], one["worker"]) == ("GET", "parse", None)
    assert (two["method"], two["callback"]) == ("POST", "parse_two")
    assert (two["worker"], two["leased_at"]) == (None, None), "it is leased, and not sent"
    assert (three["not_before"], three["unit"]) == ("2033-05-18T03:33:20Z", "a unit")
    assert (four["state"], four["priority"], four["depth"]) == ("pending", 3, 2)
    job.abandon()


def test_requests_are_found_by_state(job: SqliteJob, reader: SqliteReader) -> None:
    for state in (State.pending,):
        found = reader.requests(KEY, Selection((state,)))
        assert [row["url"] for row in found] == ["http://h/3", "http://h/4"]
    assert len(list(reader.requests(KEY, Selection((State.pending,)), limit=1))) == 1
    assert len(list(reader.requests(KEY, limit=3))) == 3
    job.abandon()


def test_in_hand_is_what_was_sent_and_has_not_ended(job: SqliteJob, reader: SqliteReader) -> None:
    assert reader.in_flight_urls(KEY) == [], "it is leased, and not sent"
    for row in (1, 2, 99):  # one that has ended, and one that is not committed yet
        job.mark(row, Phase.sent)
    assert reader.in_flight_urls(KEY) == ["http://h/2"]
    _, two, *_ = reader.requests(KEY)
    assert (two["worker"], two["leased_at"]) == ("host:1", two["updated_at"])
    job.unmark(2)
    assert reader.in_flight_urls(KEY) == []
    job.mark(2, Phase.answered)
    job.abandon()
    assert reader.in_flight_urls(KEY) == ["http://h/2"], "as it was when the process died"


def test_a_snapshot_stays_as_it_was_while_the_crawl_goes_on(
    tmp_path: Path, reader: SqliteReader
) -> None:
    job = SqliteStore(tmp_path).begin(KEY, Opening("books", "host:1"))
    for row in range(1, 2001, 500):
        job.commit(
            Batch(
                next_id=row + 500,
                arrivals=[admission(n, lease=True) for n in range(row, row + 500)],
                finishes=[
                    Finish(
                        id=n, state=State.done, attempts=1, items=[ItemRecord(0, str(n), f"k{n}")]
                    )
                    for n in range(row, row + 500)
                ],
            )
        )
    items = reader.items(KEY)
    first = next(items)
    replaced = [ItemRecord(n, "new", f"k{n}") for n in range(1, 2001)]
    last = Finish(id=3000, state=State.done, attempts=1, items=replaced, tombstone=admission(3000))
    job.commit(Batch(next_id=3001, finishes=[last]))
    assert [first, *items] == [(f"k{n}", str(n)) for n in range(1, 2001)]
    assert {payload for _, payload in reader.items(KEY)} == {"new"}
    job.close(Closing("completed", "finished"))


def test_a_reader_that_leaves_early_lets_go_of_the_file(
    job: SqliteJob, reader: SqliteReader, tmp_path: Path
) -> None:
    items = reader.items(KEY)
    next(items)
    items.close()
    job.close(Closing("paused", "shutdown"))
    assert not (tmp_path / "books#1.sqlite3-wal").exists()


def test_a_reader_in_the_middle_does_not_hold_up_a_close(
    job: SqliteJob, reader: SqliteReader
) -> None:
    items = reader.items(KEY)
    next(items)
    job.close(Closing("paused", "shutdown"))
    assert [payload for _, payload in items] == ["b"]


def test_a_renamed_file_is_the_job_of_its_new_name(job: SqliteJob, reader: SqliteReader) -> None:
    job.close(Closing("paused", "shutdown"))
    copy = JobKey("copy", 5)
    shutil.copy(reader.path(KEY), reader.path(copy))
    assert reader.keys() == [KEY, copy]
    assert reader.summary(copy).key == copy
    latest = SqliteStore(reader.directory).latest("copy")
    assert latest is not None
    assert latest.key == copy


def test_reading_does_not_change_the_file(job: SqliteJob, reader: SqliteReader) -> None:
    job.close(Closing("paused", "shutdown"))
    path = reader.path(KEY)
    before = path.read_bytes(), path.stat().st_mtime_ns
    read_summary(path)
    list(reader.requests(KEY))
    reader.runs(KEY)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_what_is_not_there_is_not_created(reader: SqliteReader, tmp_path: Path) -> None:
    for ask in (reader.summary, reader.runs, reader.in_flight_urls):
        with pytest.raises(JobNotFoundError):
            ask(KEY)
    with pytest.raises(JobNotFoundError):
        next(reader.items(KEY))
    assert list(tmp_path.iterdir()) == []
    assert SqliteReader(tmp_path / "nowhere").keys() == []


@pytest.mark.parametrize("view", ["requests", "items", "progress"])
def test_people_can_read_the_views_while_the_crawl_runs(
    job: SqliteJob, reader: SqliteReader, view: str
) -> None:
    with contextlib.closing(sqlite3.connect(reader.path(KEY))) as connection:
        rows = connection.execute(f"SELECT * FROM {view}").fetchall()
    assert len(rows) == {"requests": 4, "items": 2, "progress": 1}[view]
    job.abandon()


def test_the_summary_of_a_long_name_is_found(tmp_path: Path, reader: SqliteReader) -> None:
    key = JobKey("x" * 150, 1)
    SqliteStore(tmp_path).begin(key, Opening("books", "host:1")).abandon()
    assert reader.keys() == [key]
    assert reader.summary(key).key == key
    reader.path(key).write_bytes(b"damaged" * 1000)
    (damaged,) = reader.keys()
    assert damaged.name.startswith("x" * 80 + "~")
