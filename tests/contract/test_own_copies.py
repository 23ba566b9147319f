"""The copy beside a job: whole or the one before, never listed, and what a damaged job becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scrapy_resume.errors import JobLockedError, StoreDamagedError, StoreError
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract.copies import Restored
from scrapy_resume.store.sqlite.store import SqliteStore

from .conftest import Place, place_of
from .records import BOOKS, Run, admission, finish, opening

ROOT = Path(__file__).parents[2]
COPY = "books#1.sqlite3.backup"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(directory: Path) -> SqliteStore:
    return SqliteStore(directory)


def begun(store: SqliteStore, key: JobKey = BOOKS) -> Run:
    run = Run(store.begin(key, opening()))
    run.admit(*(admission(row, lease=True) for row in range(1, 5)))
    run.finish(finish(1, ['"a"']))
    return run


def copied(store: SqliteStore, run: Run, key: JobKey = BOOKS) -> Run:
    assert store.keep_copy(key, run.session.epoch, lambda: False) is not None
    return run


def restored(store: SqliteStore, name: str = "books") -> Restored | None:
    with store.door(name):
        return store.restore_damaged(name)


@pytest.mark.parametrize("scenario", ["copy", "restore"])
def test_killed_before_any_operation_on_a_file(tmp_path: Path, scenario: str) -> None:
    program = [sys.executable, "-m", "tests.contract.killed_around_copies"]
    result = subprocess.run(
        [*program, str(tmp_path), scenario, "1"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) > 8


def test_a_copy_is_private_and_no_job(store: SqliteStore, directory: Path) -> None:
    run = copied(store, begun(store))
    assert (directory / COPY).stat().st_mode & 0o777 == 0o600
    assert store.jobs() == [BOOKS]
    assert store.copied_at(BOOKS) is not None
    run.close()
    assert restored(store) is None, "it is whole"
    store.delete(BOOKS)
    assert store.jobs() == []
    assert [path.name for path in directory.iterdir() if "books#" in path.name] == []


def test_a_copy_that_is_stopped_leaves_the_one_before(store: SqliteStore, directory: Path) -> None:
    run = copied(store, begun(store))
    before = (directory / COPY).read_bytes()
    run.finish(finish(2, ['"b"']))
    assert store.keep_copy(BOOKS, run.session.epoch, lambda: True) is None
    assert (directory / COPY).read_bytes() == before
    assert [path.name for path in directory.iterdir() if ".new" in path.name] == []


def test_a_run_that_was_fenced_does_not_replace_the_copy(
    store: SqliteStore, directory: Path
) -> None:
    old = begun(store)
    new = Run(store.resume(BOOKS, opening(force=True)))
    copied(store, new)
    before = (directory / COPY).read_bytes()
    assert store.keep_copy(BOOKS, old.session.epoch, lambda: False) is None
    assert (directory / COPY).read_bytes() == before


def test_the_copy_of_a_live_run_is_not_cleared_away(store: SqliteStore, directory: Path) -> None:
    """Another crawl opens a job in the directory while the copy is being written."""
    run = copied(store, begun(store))
    seen = []

    def other_crawl_opens() -> bool:
        SqliteStore(directory).remove_leftovers()
        seen.append([path.name for path in directory.iterdir() if ".new" in path.name])
        return False

    assert store.keep_copy(BOOKS, run.session.epoch, other_crawl_opens) is not None
    assert any(seen)
    assert all(f"{COPY}-{run.session.epoch}.new" in names for names in seen)


def test_a_damaged_job_does_not_replace_its_copy(store: SqliteStore, directory: Path) -> None:
    run = copied(store, begun(store))
    before = (directory / COPY).read_bytes()
    run.close()
    with (directory / "books#1.sqlite3").open("r+b") as file:
        for page in range(1, 40):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(StoreDamagedError):
        store.keep_copy(BOOKS, run.session.epoch, lambda: False)
    assert (directory / COPY).read_bytes() == before
    found = restored(store)
    assert found is not None
    assert found.job == BOOKS
    summary = store.summary(BOOKS)
    assert (summary.status, summary.counts.done, summary.counts.pending) == ("paused", 1, 3)


def test_whoever_reads_a_damaged_job_is_told_how_it_is_restored(
    store: SqliteStore, directory: Path
) -> None:
    copied(store, begun(store)).die()
    (directory / "books#1.sqlite3").write_bytes(b"x" * 9000)
    with pytest.raises(StoreDamagedError, match="Run the crawl again: it restores the job from"):
        store.latest("books")
    assert store.jobs() == [BOOKS], "it is listed all the same"


def test_damaged_files_of_earlier_times_are_never_replaced(
    store: SqliteStore, directory: Path
) -> None:
    copied(store, begun(store)).die()
    for number, content in enumerate([b"one" * 1000, b"two" * 1000], start=1):
        (directory / "books#1.sqlite3").write_bytes(content)
        assert restored(store) is not None
        kept = directory / f"books#1.sqlite3.damaged-{number}"
        assert kept.read_bytes() == content
    assert (directory / "books#1.sqlite3.damaged-1").read_bytes() == b"one" * 1000
    assert store.jobs() == [BOOKS]


def test_a_copy_that_is_damaged_too_replaces_nothing(store: SqliteStore, directory: Path) -> None:
    copied(store, begun(store)).die()
    for name in ("books#1.sqlite3", COPY):
        (directory / name).write_bytes(b"x" * 9000)
    with pytest.raises(StoreDamagedError, match="so is its copy"):
        restored(store)
    assert (directory / "books#1.sqlite3").read_bytes() == b"x" * 9000


def test_a_damaged_copy_does_not_stop_a_job_that_is_whole(
    store: SqliteStore, directory: Path
) -> None:
    copied(store, begun(store)).close()
    (directory / COPY).write_bytes(b"x" * 9000)
    assert restored(store) is None
    assert store.copied_at(BOOKS) is None, "so the next run makes one at once"


def test_a_job_that_lost_its_file_while_it_is_crawled_is_not_restored_beside_its_run(
    store: SqliteStore, directory: Path
) -> None:
    run = copied(store, begun(store))
    (directory / "books#1.sqlite3").unlink()
    with pytest.raises(JobLockedError, match="still runs"):
        restored(store)
    run.die()
    found = restored(store)
    assert found is not None
    assert "RESUME_MODE=fresh" in found.line


def test_a_deletion_that_was_interrupted_is_not_undone(store: SqliteStore, directory: Path) -> None:
    copied(store, begun(store)).close()
    (directory / "books#1.sqlite3").rename(directory / "books#1.sqlite3.deleted")
    assert restored(store) is None
    store.remove_leftovers()
    assert [path.name for path in directory.iterdir() if "books#" in path.name] == []


def test_without_a_copy_the_remedy_names_the_setting(store: SqliteStore, directory: Path) -> None:
    begun(store).close()
    (directory / "books#1.sqlite3").write_bytes(b"x" * 9000)
    assert restored(store) is None
    with pytest.raises(StoreDamagedError, match="RESUME_BACKUP"):
        store.latest("books")


def test_postgres_names_the_tool_that_does_it(postgres_place: Place, store: SqliteStore) -> None:
    run = postgres_place.begin()
    with pytest.raises(StoreError, match="pg_dump"):
        postgres_place.store.keep_copy(BOOKS, run.session.epoch, lambda: False)
    assert restored(postgres_place.store) is None  # type: ignore[arg-type]
    assert postgres_place.store.copied_at(BOOKS) is None


@pytest.fixture
def postgres_place(postgres_server: object) -> Place:
    return place_of(postgres_server.new_database())  # type: ignore[attr-defined]


def test_commits_go_on_while_a_copy_is_made_of_one_moment(
    store: SqliteStore, directory: Path
) -> None:
    run = begun(store)
    run.admit(admission(9, lease=True))
    run.finish(finish(9, [f'"{number:04}{"x" * 4000}"' for number in range(600)]))
    rows = iter(range(2, 5))

    def crawl_goes_on() -> bool:
        if (row := next(rows, None)) is not None:
            run.finish(finish(row, ['"later"']))
        return False

    assert store.keep_copy(BOOKS, run.session.epoch, crawl_goes_on) is not None
    assert store.summary(BOOKS).counts.done > 3, "the copy has several slices"
    elsewhere = SqliteStore(directory.with_name("elsewhere"))
    elsewhere.restore(directory / COPY)
    assert elsewhere.summary(BOOKS).counts.done == 2
    assert elsewhere.verify(BOOKS).violations == []
