"""Real disks that are full, or cannot be written, and directories that are none."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scrapy_resume.errors import ConfigurationError, StoreUnavailableError
from scrapy_resume.model import JobKey, Phase
from scrapy_resume.store.contract import Batch
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.support import small_disks

from .records import BOOKS, Run, admission, finish, opening

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disks.small_disk(tmp_path / "disk", "900k") as mounted:
        yield mounted


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "store")
    run = Run(store.begin(BOOKS, opening()))
    run.admit(admission(1, lease=True))
    usage = shutil.disk_usage(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (usage.free - 40_000))
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
    run.job.mark(1, Phase.sent)
    run.close()
    reader = SqliteReader(small_disk / "store")
    assert [payload for _, payload in reader.items(BOOKS)] == ["a"]
    assert reader.summary(BOOKS).counts.total == 199


@pytest.mark.parametrize("room", [0, 10_000, 60_000, 90_000, 130_000, 170_000, 260_000])
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
    assert [payload for _, payload in reader.items(BOOKS)] == ["a"]
    assert reader.summary(BOOKS).counts.done == 1


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere: be an ordinary user for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "mine").begin(BOOKS, opening()).abandon()  # all modules are loaded
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        with (
            without_privileges(),
            pytest.raises(StoreUnavailableError, match="permissions"),
        ):
            SqliteStore(Path(name) / "store").begin(BOOKS, opening())
        Path(name).chmod(0o700)


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
