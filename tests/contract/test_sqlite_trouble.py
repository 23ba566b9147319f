"""When things go wrong: a clear error with a remedy, nothing lost, and the same batch again."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import (
    ConfigurationError,
    SchemaTooNewError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Batch, Wish
from scrapy_resume.store.sqlite import SqliteStore
from scrapy_resume.store.sqlite_read import SqliteReader

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, finish, opening


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
    monkeypatch.setattr("scrapy_resume.store.sqlite_files.BUSY_SECONDS", 0.1)


def a_batch() -> Batch:
    return Batch(
        next_id=5,
        arrivals=[
            admission(2, "seed", counted=True, lease=True),
            admission(3, "seed", counted=True),
            admission(4, unit="new unit", slot="new slot"),
        ],
        finishes=[finish(1, ["a"])],
        wishes=[Wish(SLOT, 1)],
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
    arrivals = [admission(row, payload="x" * 5000) for row in range(10, 30)]
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


# Real disks that are small, or cannot be written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(mounted)]
    try:
        result = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if result.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True, timeout=10)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "store")
    run = Run(store.begin(BOOKS, opening()))
    run.admit(admission(1, lease=True))
    (small_disk / "ballast").write_bytes(b"x" * 200_000)
    batch = Batch(
        next_id=400,
        arrivals=[admission(row, payload="x" * 1000) for row in range(2, 200)],
        finishes=[finish(1, ["a"])],
    )
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match=r"disk is full|I/O error"):
            run.job.commit(batch)
    (small_disk / "ballast").unlink()
    assert run.job.commit(batch).duplicates == set()
    run.job.mark(1, 1)  # type: ignore[arg-type]
    run.close()
    reader = SqliteReader(small_disk / "store")
    assert list(reader.item_payloads(BOOKS)) == ["a"]
    assert reader.summary(BOOKS).counts.total == 199


@pytest.mark.parametrize("room", [0, 10_000, 60_000, 90_000, 130_000, 170_000])
def test_a_job_that_has_no_room_to_begin(small_disk: Path, room: int) -> None:
    usage = shutil.disk_usage(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (usage.free - room))
    store = SqliteStore(small_disk / "store")
    with contextlib.suppress(StoreUnavailableError):
        store.begin(BOOKS, opening()).abandon()
    (small_disk / "ballast").unlink()
    job = store.latest("books")
    run = store.begin(BOOKS, opening()) if job is None else store.resume(BOOKS, opening())
    assert run.session.counts.total == 0
    run.abandon()


@pytest.fixture
def frozen_directory(small_disk: Path) -> Iterator[Callable[[], Path]]:
    """Gives the store's directory, in which nothing can be written any more."""
    frozen = False

    def freeze() -> Path:
        nonlocal frozen
        command = ["mount", "-o", "remount,ro", str(small_disk)]
        subprocess.run(command, check=True, timeout=10)
        frozen = True
        return small_disk

    yield freeze
    if frozen:
        command = ["mount", "-o", "remount,rw", str(small_disk)]
        subprocess.run(command, check=True, timeout=10)


def test_a_read_only_directory_is_refused_with_the_remedy(
    frozen_directory: Callable[[], Path], small_disk: Path
) -> None:
    SqliteStore(small_disk / "store").begin(BOOKS, opening()).abandon()
    directory = frozen_directory()
    store = SqliteStore(directory / "store")
    other = SqliteStore(directory / "other")
    for attempt in (
        lambda: store.begin(JobKey("other", 1), opening()),
        lambda: store.resume(BOOKS, opening()),
        lambda: other.begin(BOOKS, opening()),
        lambda: other.door("books").__enter__(),
        lambda: store.door("books").__enter__(),
    ):
        with pytest.raises(StoreUnavailableError, match="mounted read-only"):
            attempt()


@pytest.mark.parametrize("closed", [True, False])
def test_a_read_only_directory_can_be_read(
    frozen_directory: Callable[[], Path], small_disk: Path, closed: bool
) -> None:
    run = Run(SqliteStore(small_disk / "store").begin(BOOKS, opening()))
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a"]))
    run.close("completed", "finished") if closed else run.die()
    reader = SqliteReader(frozen_directory() / "store")
    assert list(reader.item_payloads(BOOKS)) == ["a"]
    assert reader.summary(BOOKS).counts.done == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnavailableError, match="permissions"):
        SqliteStore(tmp_path / "store").begin(BOOKS, opening())
    tmp_path.chmod(0o700)


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for directory in (file, file / "below"):
        store = SqliteStore(directory)
        with pytest.raises(ConfigurationError, match="cannot be used as a directory"):
            store.begin(BOOKS, opening())
        with pytest.raises(ConfigurationError, match="cannot be used as a directory"):
            store.door("books").__enter__()
        with pytest.raises(ConfigurationError, match="cannot be used as a directory"):
            store.latest("books")
    assert file.read_text() == "mine"


# Damage


@pytest.fixture
def at_rest(place: Place, path: Path) -> bytes:
    """The file of a job that was closed."""
    run = place.begin()
    run.admit(*(admission(row, lease=row < 50) for row in range(1, 200)))
    run.finish(*(finish(row, [str(row)]) for row in range(1, 50)))
    run.close()
    return path.read_bytes()


def try_everything(place: Place) -> list[type[Exception]]:
    """What a start and the readers say about a damaged job."""
    said: list[type[Exception]] = []
    for attempt in (
        lambda: place.store.latest("books"),
        lambda: place.reader.summary(BOOKS),
        lambda: place.items(),
        lambda: place.rows(),
        lambda: place.store.prune("books", 1),
        lambda: place.resume().close(),
    ):
        try:
            attempt()
        except StoreError as error:
            said.append(type(error) if "books#1.sqlite3" in str(error) else StoreError)
    return said


@pytest.mark.parametrize("size", [0, 1, 15, 50, 99, 512, 4095, 4096, 5000, 0.3, 0.8, -4096, -1])
def test_a_file_that_was_cut_off_is_reported_and_left(
    place: Place, path: Path, at_rest: bytes, size: float
) -> None:
    length = int(size * len(at_rest)) if 0 < size < 1 else int(size) % len(at_rest)
    path.write_bytes(at_rest[:length])
    assert try_everything(place) == [StoreDamagedError] * 5
    assert path.read_bytes() == at_rest[:length]


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 1000, b"\0" * 8192, os.urandom(9000)]
)
def test_a_file_that_is_no_database_is_reported_and_left(
    place: Place, path: Path, directory: Path, content: bytes
) -> None:
    directory.mkdir()
    path.write_bytes(content)
    (directory / "books#1.sqlite3-wal").write_bytes(b"something")
    assert try_everything(place) == [StoreDamagedError] * 5
    assert path.read_bytes() == content


def test_damage_within_the_file_never_gives_another_kind_of_error(
    place: Place, path: Path, at_rest: bytes
) -> None:
    for at in range(100, len(at_rest), 4096):
        damaged = bytearray(at_rest)
        damaged[at : at + 1500] = b"\xa5" * 1500
        path.write_bytes(bytes(damaged))
        assert set(try_everything(place)) <= {StoreDamagedError, StoreError}
        assert path.exists()


def test_damage_that_a_run_meets_stops_it(place: Place, path: Path) -> None:
    run = place.begin()
    run.admit(*(admission(row, payload="x" * 2000) for row in range(1, 400)))
    run.close()
    run = place.resume()
    with path.open("r+b") as file:
        for at in range(8 * 4096, path.stat().st_size, 4096):
            file.seek(at)
            file.write(b"\xa5" * 4000)

    def lease_all() -> None:
        while run.lease(50):
            pass

    with pytest.raises(StoreDamagedError, match="is damaged"):
        lease_all()


def test_another_programs_database_is_left_alone(place: Place, path: Path, directory: Path) -> None:
    directory.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE job (mine)")
    assert try_everything(place) == [StoreDamagedError] * 5


def test_a_newer_schema_is_refused(place: Place, path: Path) -> None:
    place.begin().close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    assert try_everything(place) == [SchemaTooNewError] * 5
    with pytest.raises(SchemaTooNewError, match="upgrade scrapy-resume"):
        place.store.cancel(BOOKS)
    assert path.read_bytes() == before


def test_damage_stays_in_one_job(place: Place, path: Path) -> None:
    place.begin().close()
    path.write_bytes(b"garbage" * 1000)
    run = place.begin(JobKey("books", 2))
    run.close("completed", "finished")
    assert place.reader.keys() == [BOOKS, JobKey("books", 2)]
    assert place.store.latest("books") is not None


def test_a_wal_without_its_file_is_not_taken_over(
    place: Place, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = place.begin()
    run.admit(admission(1))
    run.die()
    wal = path.with_name(path.name + "-wal")
    wal.write_bytes(b"old" * 3000)
    path.unlink()
    run = place.begin()
    assert run.session.counts.total == 0
    assert run.admit(admission(1)).duplicates == set()
    assert "-wal was left behind" in caplog.text


# Power loss


def power_loss(directory: Path, to: Path, wal_bytes: int) -> None:
    """What is on the disk when the last bytes of the WAL are not."""
    to.mkdir(exist_ok=True)
    name = "books#1.sqlite3"
    shutil.copy(directory / name, to / name)
    (to / f"{name}-wal").write_bytes((directory / f"{name}-wal").read_bytes()[:wal_bytes])
    (to / f"{name}-shm").unlink(missing_ok=True)


def snapshot(path: Path) -> list[object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = ("job", "run", "slot", "request", "alias", "item", "spill")
        content = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return content


@pytest.mark.parametrize("step", [499, pytest.param(1, marks=pytest.mark.soak)])
def test_wal_cut_at_every_byte_of_its_last_batch(
    place: Place, directory: Path, tmp_path: Path, step: int
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    wal = directory / "books#1.sqlite3-wal"
    before = wal.stat().st_size
    run.commit(finishes=[finish(1, ["a"])], arrivals=[admission(3)])
    after = wal.stat().st_size
    cut = tmp_path / "cut"
    states = []
    for size in (before, after):
        power_loss(directory, cut, size)
        states.append(snapshot(cut / "books#1.sqlite3"))
    edges = {size for at in range(before, after, 4120) for size in range(at - 3, at + 27)}
    sizes = {*range(before, after, step), *edges, after - 1}
    for size in sorted(size for size in sizes if before <= size < after):
        power_loss(directory, cut, size)
        assert snapshot(cut / "books#1.sqlite3") == states[0], size
    assert states[0] != states[1]


def test_a_job_goes_on_after_a_power_loss(place: Place, directory: Path, tmp_path: Path) -> None:
    run = place.begin()
    wal = directory / "books#1.sqlite3-wal"
    sizes = []
    for row in range(1, 8):
        run.admit(admission(row, lease=True))
        run.finish(finish(row, [str(row)]))
        sizes.append(wal.stat().st_size)
    for number, size in enumerate(sizes, 1):
        cut = tmp_path / str(number)
        power_loss(directory, cut, size - 1)
        after = Run(SqliteStore(cut).resume(BOOKS, opening()))
        assert (after.session.counts.done, after.session.recovered) == (number - 1, 1)
        rows = after.lease()
        after.finish(*(finish(row.id, [str(row.id)]) for row in rows))
        assert after.close("completed", "finished") == "completed"
        assert len(list(SqliteReader(cut).item_payloads(BOOKS))) == number
