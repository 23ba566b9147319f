"""Damaged files and power loss: reported with the file's name, and never made worse."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from scrapy_resume.errors import SchemaTooNewError, StoreDamagedError, StoreError
from scrapy_resume.model import JobKey
from scrapy_resume.run.pruning import prune
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore

from .conftest import Place
from .records import BOOKS, Run, admission, finish, opening


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / "books#1.sqlite3"


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
        lambda: prune(place.store, "books", 1),
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


@pytest.mark.parametrize(
    "step", [499, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
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
        assert (after.session.counts.done, after.session.recovered.requests) == (number - 1, 1)
        rows = after.lease()
        after.finish(*(finish(row.id, [str(row.id)]) for row in rows))
        assert after.close("completed", "finished") == "completed"
        assert len(list(SqliteReader(cut).items(BOOKS))) == number
