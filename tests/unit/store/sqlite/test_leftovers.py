"""What dead processes leave beside jobs is found; what a live one uses is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Closing
from scrapy_resume.store.sqlite.files import half_deleted
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.contract.records import BOOKS, opening


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    store = SqliteStore(tmp_path / "store")
    store.begin(BOOKS, opening()).close(Closing("completed", "finished"))
    return store


def beside(store: SqliteStore, suffix: str, job: str = "books#1") -> Path:
    return store.directory / f"{job}.sqlite3{suffix}"


def lines(store: SqliteStore) -> list[str]:
    return [leftover.line for leftover in store.remove_leftovers()]


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert SqliteStore(tmp_path / "none").remove_leftovers() == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_where_nothing_is_left(store: SqliteStore) -> None:
    before = sorted(store.directory.iterdir())
    assert lines(store) == []
    assert sorted(store.directory.iterdir()) == before


def test_an_interrupted_deletion_is_completed_with_what_is_kept_elsewhere(
    store: SqliteStore,
) -> None:
    beside(store, "").rename(beside(store, ".deleted"))
    for suffix in ("-wal", "-shm", ".inflight", ".inflight.new", ".epoch-1.lock"):
        beside(store, suffix).write_bytes(b"x" * 4000)
    assert half_deleted(store.directory) == [BOOKS]
    forgotten: list[JobKey] = []
    (leftover,) = store.remove_leftovers(forgotten.append)
    assert (leftover.deleted, forgotten) == (BOOKS, [BOOKS])
    assert "books#1" in leftover.line
    left = {path.name for path in store.directory.iterdir()}
    assert left == {".gitignore", "books.door.lock"}


def test_what_could_not_be_forgotten_is_forgotten_the_next_time(store: SqliteStore) -> None:
    def fail(key: JobKey) -> None:
        raise PermissionError("events")

    beside(store, "").rename(beside(store, ".deleted"))
    assert store.remove_leftovers(fail) == []
    forgotten: list[JobKey] = []
    store.remove_leftovers(forgotten.append)
    assert forgotten == [BOOKS]


def test_a_job_that_has_begun_since_keeps_its_files(store: SqliteStore) -> None:
    beside(store, "").rename(beside(store, ".deleted"))
    job = store.begin(BOOKS, opening())
    before = {path.name for path in store.directory.iterdir()}
    (leftover,) = store.remove_leftovers()
    assert leftover.deleted is None
    left = {path.name for path in store.directory.iterdir()} - {"books.door.lock"}
    assert left == before - {"books#1.sqlite3.deleted"}
    job.close(Closing("paused", "shutdown"))
    assert store.verify(BOOKS).violations == []


def test_what_a_killed_creation_has_left_is_removed(store: SqliteStore) -> None:
    for suffix in (".new", ".new-journal", ".new-wal", ".new-shm"):
        beside(store, suffix, "maps#1").write_bytes(b"x")
    (line,) = lines(store)
    assert "maps#1.sqlite3.new" in line
    assert not list(store.directory.glob("maps#1*"))


def test_a_creation_under_way_is_left_alone(store: SqliteStore) -> None:
    beside(store, ".new", "maps#1").write_bytes(b"x")
    beside(store, ".deleted", "maps#2").write_bytes(b"x")
    with SqliteStore(store.directory).door("maps"):
        assert lines(store) == []
    assert beside(store, ".new", "maps#1").exists()
    assert beside(store, ".deleted", "maps#2").exists()


def test_what_may_hold_commits_is_kept_and_named(store: SqliteStore) -> None:
    beside(store, "-wal", "maps#1").write_bytes(b"commits")
    beside(store, "-shm", "maps#1").write_bytes(b"x")
    said = lines(store)
    assert len(said) == 2
    assert "-wal was left behind" in said[1]
    assert beside(store, "-wal", "maps#1").read_bytes() == b"commits"
    assert not beside(store, "-shm", "maps#1").exists()


def test_a_new_job_does_not_take_commits_over_nor_away(store: SqliteStore) -> None:
    beside(store, "-wal", "maps#1").write_bytes(b"commits")
    store.begin(JobKey("maps", 1), opening()).close(Closing("completed", "finished"))
    assert beside(store, "-wal.kept-1", "maps#1").read_bytes() == b"commits"
    assert store.verify(JobKey("maps", 1)).violations == []


def test_a_live_job_whose_file_somebody_removed_keeps_its_own(store: SqliteStore) -> None:
    job = store.begin(JobKey("maps", 1), opening())
    beside(store, "", "maps#1").unlink()
    before = {path.name for path in store.directory.iterdir()}
    assert lines(store) == []
    assert {path.name for path in store.directory.iterdir()} - {"maps.door.lock"} == before
    job.abandon()
    assert lines(store)
    assert not beside(store, ".inflight", "maps#1").exists()


def test_a_directory_that_cannot_be_written_is_no_error(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "denied")

    beside(store, ".new", "maps#1").write_bytes(b"x")
    monkeypatch.setattr(Path, "unlink", refuse)
    assert lines(store) == []
    assert os.path.lexists(beside(store, ".new", "maps#1"))
