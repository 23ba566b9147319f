"""When things go wrong: a clear error with a remedy, nothing lost, and the same batch again."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sqlite3
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import (
    StoreUnavailableError,
)
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import Batch, Leasing, Wish

from .conftest import Place
from .records import BOOKS, SLOT, admission, finish


@contextlib.contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Another process's transaction."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / "books#1.sqlite3"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scrapy_resume.store.sqlite.files.BUSY_SECONDS", 0.1)


def a_batch() -> Batch:
    return Batch(
        next_id=5,
        arrivals=[
            admission(2, "seed", counted=True, lease=True),
            admission(3, "seed", counted=True),
            admission(4, unit="new unit", slot="new slot"),
        ],
        finishes=[finish(1, ["a"])],
        leasing=Leasing(wishes=[Wish(SLOT, 1)]),
    )


def check_kept_once(place: Place, committed: Any) -> None:
    assert committed.duplicates == set()
    assert [row.id for row in committed.leased] == [3]
    assert place.items() == ["a"]
    assert committed.counts == place.reader.summary(BOOKS).counts
    assert (committed.counts.total, committed.counts.items_stored) == (4, 1)


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_worth_another_try(place: Place, path: Path) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    batch = a_batch()
    with write_lock(path):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=r"books#1.sqlite3 is locked"):
                run.job.commit(batch)
        with pytest.raises(StoreUnavailableError, match="is locked"):
            run.close()
    check_kept_once(place, run.job.commit(batch))
    run.close()


@pytest.mark.usefixtures("impatient")
def test_a_job_that_is_locked_cannot_be_opened_for_now(place: Place, path: Path) -> None:
    place.begin().close()
    with write_lock(path), pytest.raises(StoreUnavailableError, match="is locked"):
        place.resume()
    run = place.resume()
    assert not run.session.crashed


def test_readers_do_not_wait_for_a_writer(place: Place, path: Path) -> None:
    run = place.begin()
    run.admit(admission(1))
    with write_lock(path):
        started = time.monotonic()
        assert place.store.latest("books") is not None
        assert place.states() == {"1": "pending"}
        assert time.monotonic() - started < 1


def test_a_full_disk_is_worth_another_try(place: Place) -> None:
    """A limit of pages gives the error of a full disk, at whatever statement it comes."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    connection = run.job._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    arrivals = [admission(row, payload=f"{row}" + "x" * 5000) for row in range(10, 30)]
    batch = Batch(next_id=30, arrivals=arrivals, finishes=[finish(1, ["a"])])
    for room in range(10):
        connection.execute(f"PRAGMA max_page_count = {pages + room}").fetchall()
        with pytest.raises(StoreUnavailableError, match="the disk is full: make room"):
            run.job.commit(batch)
    assert place.states() == {"1": "leased"}
    connection.execute("PRAGMA max_page_count = 100000").fetchall()
    committed = run.job.commit(batch)
    assert committed.duplicates == set()
    assert committed.counts.total == 21
    assert place.items() == ["a"]


class Faulty:
    """A connection with an error in the statements that ``fails`` picks."""

    def __init__(
        self, connection: sqlite3.Connection, fails: Callable[[str], bool], after: bool
    ) -> None:
        self._connection = connection
        self._fails = fails
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        failing = self._fails(statement)
        if failing and not self._after:
            raise io_error()
        cursor = self._connection.execute(statement, *parameters)
        if failing:
            raise io_error()
        return cursor


def io_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = 10 | (4 << 8)  # type: ignore[attr-defined]
    return error


def is_commit(statement: str) -> bool:
    return statement.startswith("COMMIT")


@pytest.mark.parametrize("after", [False, True])
def test_an_io_error_in_the_commit_leaves_no_doubt(place: Place, after: bool) -> None:
    """Whether the commit was kept or not, the same batch again gives the same answer, once."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    job: Any = run.job
    job._connection = Faulty(job._connection, is_commit, after)
    batch = a_batch()
    with pytest.raises(StoreUnavailableError, match="disk reports an I/O error"):
        run.job.commit(batch)
    check_kept_once(place, run.job.commit(batch))
    later = run.admit(admission(9, "seed", counted=True), admission(10, unit="new unit"))
    assert later.duplicates == set()
    assert later.counts == place.reader.summary(BOOKS).counts


def test_an_io_error_anywhere_keeps_nothing(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    job: Any = run.job
    batch = a_batch()
    for number in range(40):
        seen: list[str] = []

        def fails(statement: str, seen: list[str] = seen, number: int = number) -> bool:
            seen.append(statement)
            return len(seen) == number + 1

        if job._connection is None:
            run.job.commit(Batch(next_id=2))
        job._connection = Faulty(job._connection, fails, after=False)
        try:
            committed = run.job.commit(batch)
        except StoreUnavailableError:
            assert place.states() == {"1": "leased"}
            continue
        check_kept_once(place, committed)
        assert number > 10
        return
    raise AssertionError("the commit never came through")


def test_an_error_at_close_can_be_tried_again(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    job: Any = run.job
    for after in (False, True):
        if job._connection is None:
            job._connection = job._connected()
        job._connection = Faulty(job._connection, is_commit, after)
        with pytest.raises(StoreUnavailableError):
            run.close("completed", "finished")
    assert run.close("completed", "finished") == "paused"
    assert not place.resume().session.crashed


def test_a_job_whose_close_failed_for_good_is_recovered(place: Place) -> None:
    run = place.begin()
    job: Any = run.job
    job._connection = Faulty(job._connection, is_commit, after=False)
    with pytest.raises(StoreUnavailableError):
        run.close()
    run.job.abandon()
    assert place.resume().session.crashed


# Openings that fail half way


def test_a_begin_that_failed_can_be_tried_again(
    place: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("scrapy_resume.store.sqlite.opening.claim", no_room)
        with pytest.raises(StoreUnavailableError, match="disk is full"):
            place.begin(arguments={"a": 1})
    job = place.store.latest("books")
    assert job is not None
    assert (job.status, job.alive) == ("initialized", False)
    run = place.begin(arguments={"a": 2})
    assert run.session.began
    assert place.reader.summary(BOOKS).arguments == {"a": 2}


@pytest.mark.parametrize("step", ["recover", "Board", "migrate", "remove_locks", "_session"])
def test_a_recovery_that_failed_is_done_again_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.job.mark(1, Phase.answered)
    run.die()
    with monkeypatch.context() as patch:
        patch.setattr(f"scrapy_resume.store.sqlite.opening.{step}", no_room)
        with pytest.raises(StoreUnavailableError, match="disk is full"):
            place.resume()
    assert not place.reader.summary(BOOKS).alive
    run = place.resume()
    assert [(row.id, row.crashes, row.attempts) for row in run.lease()] == [(1, 1, 1), (2, 0, 0)]


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
def test_every_commit_of_a_durable_run_is_synced(
    place: Place, durable: bool, synchronous: int
) -> None:
    run = place.begin(durable=durable)
    job: Any = run.job
    assert job._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    job._drop_connection()
    run.admit(admission(1))
    assert job._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


@pytest.mark.parametrize("fails", [False, True])
def test_a_durable_batch_is_synced_in_a_run_whose_other_batches_are_not(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    run = place.begin()
    job: Any = run.job
    said: list[str] = []
    job._connection.set_trace_callback(said.append)
    batch = Batch(next_id=2, arrivals=[admission(1)], durable=True)
    if fails:
        with monkeypatch.context() as patch:
            patch.setattr(job._writer, "apply", no_room)
            with pytest.raises(StoreUnavailableError, match="disk is full"):
                job.commit(batch)
    job.commit(batch)
    wanted = (
        "PRAGMA synchronous = FULL",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "PRAGMA synchronous = NORMAL",
    )
    said = [text.strip(" ;\n") for text in said]
    assert tuple(text for text in said if text in wanted)[-4:] == wanted
    assert job._connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_memory_does_not_grow_with_what_is_known(place: Place) -> None:
    run = place.begin()
    ids = iter(range(1, 10**9))

    def admit_many() -> None:
        for _ in range(20):
            rows = [next(ids) for _ in range(500)]
            run.admit(
                *(
                    admission(row, counted=True, slot=f"s{row % 7}", unit=f"u{row % 9}")
                    for row in rows
                )
            )

    admit_many()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        admit_many()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
