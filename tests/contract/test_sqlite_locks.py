"""Locks between processes: they go with their process, however it ends, and with nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_resume.errors import (
    JobLockedError,
    LeaseLostError,
    StoreUnavailableError,
)
from scrapy_resume.store.sqlite.locks import OwnerLock, door_lock, is_held
from scrapy_resume.store.sqlite.store import SqliteStore

from .conftest import Place
from .records import BOOKS, admission, finish, opening

ROOT = Path(__file__).parents[2]

OWNER = """
import os, subprocess, sys, time
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.contract.records import BOOKS, Run, admission, opening
run = Run(SqliteStore(sys.argv[1]).begin(BOOKS, opening(worker=f"host:{{os.getpid()}}")))
run.admit(admission(1, lease=True), admission(2))
child = 0
{more}
print(child, flush=True)
sys.stdin.readline()
{last}
"""


class Owner:
    """A process that owns the job until it is told to go on, or killed."""

    def __init__(self, directory: Path, more: str = "", last: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(more=more, last=last), str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.child = int(self.process.stdout.readline())
        """The pid of a process that it has started; 0: it has not."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def go_on(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def owners() -> Iterator[list[Owner]]:
    owners: list[Owner] = []
    yield owners
    for owner in owners:
        owner.kill()


def test_killed_owner_is_dead_at_once(place: Place, directory: Path, owners: list[Owner]) -> None:
    owners.append(owner := Owner(directory))
    job = place.store.latest("books")
    assert job is not None
    assert (job.alive, job.status) == (True, "running")
    with pytest.raises(
        JobLockedError, match=f"being crawled by another process .host:{owner.pid} "
    ):
        place.resume()
    owner.kill()
    owners.clear()
    job = place.store.latest("books")
    assert job is not None
    assert (job.alive, job.status) == (False, "running")
    run = place.resume()
    assert run.session.crashed
    assert run.session.recovered.requests == 1


@pytest.mark.parametrize(
    "child",
    [
        "child = subprocess.Popen(['sleep', '30']).pid",
        "child = subprocess.Popen(['sleep', '30'], close_fds=False).pid",
        "child = os.fork()\nif child == 0: time.sleep(30); os._exit(0)",
    ],
)
def test_a_child_that_outlives_the_owner_does_not_hold_the_lock(
    place: Place, directory: Path, owners: list[Owner], child: str
) -> None:
    owners.append(owner := Owner(directory, more=child, last="os.kill(os.getpid(), 9)"))
    assert owner.go_on() == -signal.SIGKILL
    deadline = time.monotonic() + 10
    try:
        # The child lets go of its copy in its first moments, which may come after the owner's end.
        while (job := place.store.latest("books")) is not None and job.alive:
            assert time.monotonic() < deadline
        assert job is not None
        place.resume()
    finally:
        os.kill(owner.child, signal.SIGKILL)


def test_a_child_that_ends_does_not_release_the_lock(
    place: Place, directory: Path, owners: list[Owner]
) -> None:
    """Its copy of the lock object is collected, and must not unlock what the parent holds."""
    child = "child = os.fork()\nif child == 0: del run; import gc; gc.collect(); sys.exit(0)\n"
    owners.append(Owner(directory, more=child + "os.waitpid(child, 0)"))
    with pytest.raises(JobLockedError):
        place.resume()


def test_a_stopped_owner_is_alive_until_the_job_is_taken_by_force(
    place: Place, directory: Path, owners: list[Owner]
) -> None:
    last = (
        "from scrapy_resume.errors import LeaseLostError\n"
        "try: run.admit(admission(9))\n"
        "except LeaseLostError: sys.exit(77)"
    )
    owners.append(owner := Owner(directory, last=last))
    os.kill(owner.pid, signal.SIGSTOP)
    with pytest.raises(JobLockedError):
        place.resume()
    run = place.resume(force=True)
    os.kill(owner.pid, signal.SIGCONT)
    assert owner.go_on() == 77
    assert place.states() == {"1": "pending", "2": "pending"}
    with pytest.raises(JobLockedError):
        place.resume()
    run.close()


def test_an_owner_that_is_stopped_in_a_transaction_is_named(
    place: Place, directory: Path, owners: list[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    owners.append(owner := Owner(directory, more="run.job._connection.execute('BEGIN IMMEDIATE')"))
    os.kill(owner.pid, signal.SIGSTOP)
    monkeypatch.setattr("scrapy_resume.store.sqlite.files.BUSY_SECONDS", 0.2)
    with pytest.raises(StoreUnavailableError, match=f"kill -9 {owner.pid}"):
        place.resume(force=True)
    owner.kill()
    owners.clear()
    assert place.resume(force=True).session.recovered.requests == 1


def test_two_processes_that_begin_at_once_have_one_job(tmp_path: Path) -> None:
    script = """
import sys
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.errors import JobLockedError
from tests.contract.records import BOOKS, opening
store = SqliteStore(sys.argv[1])
with store.door("books"):
    try:
        job = store.resume(BOOKS, opening()) if store.latest("books") else (
            store.begin(BOOKS, opening()))
        print("owner", flush=True)
    except JobLockedError:
        print("refused", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    said = sorted(process.stdout.readline() for process in processes)
    for process in processes:
        process.communicate("\n")
    assert said == ["owner\n", "refused\n", "refused\n", "refused\n"]


def test_a_door_that_stays_shut_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.door.lock"
    with (
        door_lock(path),
        pytest.raises(StoreUnavailableError, match="has been opening this job"),
        door_lock(path, timeout_seconds=0.1),
    ):
        raise AssertionError("the door was open")
    with door_lock(path, timeout_seconds=0.1):
        pass


def test_an_error_behind_the_door_opens_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store")
    with pytest.raises(OSError, match="mine"), store.door("books"):
        raise OSError("mine")
    with store.door("books"):
        pass


def test_those_who_ask_do_not_take_one_another_for_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    seen: list[bool] = []

    def ask() -> None:
        for _ in range(500):
            seen.append(is_held(path))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [False] * 2000


def test_a_lock_can_be_released_by_another_thread(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "lock")
    assert lock.acquire()
    assert not OwnerLock(tmp_path / "lock").acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not is_held(tmp_path / "lock")


def test_asking_creates_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_lock_files_of_earlier_epochs_are_removed(place: Place, directory: Path) -> None:
    for _ in range(3):
        place.store.begin(BOOKS, opening()).abandon() if not place.reader.keys() else (
            place.resume().die()
        )
    run = place.resume()
    assert [path.name for path in directory.glob("*.epoch-*")] == ["books#1.sqlite3.epoch-4.lock"]
    run.close()
    assert list(directory.glob("*.epoch-*")) == []
    assert list(directory.glob("*.inflight")) == []


def test_a_job_at_rest_is_one_file(place: Place, directory: Path) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a"]))
    run.close("completed", "finished")
    names = {path.name for path in directory.iterdir()} - {".gitignore", "books.door.lock"}
    assert names == {"books#1.sqlite3"}


def test_a_deleted_job_stops_its_owner(place: Place, directory: Path) -> None:
    run = place.begin()
    (directory / "books#1.sqlite3").unlink()
    with pytest.raises(LeaseLostError, match="was deleted or moved"):
        run.admit(admission(1))
    with pytest.raises(LeaseLostError, match="was deleted or moved"):
        run.close()


def test_a_replaced_job_stops_its_owner(place: Place, directory: Path) -> None:
    run = place.begin()
    path = directory / "books#1.sqlite3"
    shutil.copy(path, directory / "elsewhere")
    (directory / "elsewhere").replace(path)
    with pytest.raises(LeaseLostError, match="was replaced"):
        run.admit(admission(1))


def test_files_are_the_users_own(place: Place, directory: Path) -> None:
    old = os.umask(0)
    try:
        run = place.begin()
        run.admit(admission(1))
    finally:
        os.umask(old)
    assert directory.stat().st_mode & 0o777 == 0o700
    for path in directory.glob("books*"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert (directory / ".gitignore").read_text() == "*\n"


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "project"
    place.mkdir(mode=0o755)
    SqliteStore(place).begin(BOOKS, opening()).abandon()
    assert place.stat().st_mode & 0o777 == 0o755
    assert not (place / ".gitignore").exists()


def test_opening_leaves_no_time_in_which_a_job_seems_dead(place: Place) -> None:
    """A reader that looks all the time never sees a running job without its owner."""
    place.begin().close()
    stop = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not stop.is_set():
            job = place.another_store().latest("books")
            assert job is not None
            if not job.alive and job.status in ("running", "recovering"):
                seen.append(job.status)

    thread = threading.Thread(target=look)
    thread.start()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        place.resume().close()
    stop.set()
    thread.join()
    assert seen == []
