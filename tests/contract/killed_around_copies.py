"""Ends a process at its n-th operation on a file while it keeps a copy, or restores a job from it.

Run as a program, with a directory, a scenario and a step. What is there must be whole each time,
and the next process must bring the work to its end.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from scrapy_resume.store.contract import Closing
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.commands.killed_at_operations import KILLED, kill_at
from tests.contract.records import BOOKS, Run, admission, finish, opening

OLD: Final = ['"a"']
NEW: Final = ['"a"', '"b"']


def goes_on() -> bool:
    return False


def fill(folder: Path) -> None:
    """books#1, whose process has died, and a copy that is older than its last item."""
    store = SqliteStore(folder)
    run = Run(store.begin(BOOKS, opening()))
    run.admit(*(admission(1 + n, lease=True) for n in range(3)))
    run.finish(finish(1, OLD))
    assert store.keep_copy(BOOKS, run.session.epoch, goes_on) is not None
    run.finish(finish(2, NEW[1:]))
    run.job.abandon()


def in_child(folder: Path, work: Callable[[SqliteStore], object], killed_at: int) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            kill_at(killed_at, folder)
            work(SqliteStore(folder))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def items(folder: Path) -> list[str]:
    return [payload for _, payload in SqliteReader(folder).items(BOOKS)]


def in_copy(folder: Path) -> list[str]:
    other = folder.with_name(f"{folder.name}-elsewhere")
    store = SqliteStore(other)
    store.restore(folder / "books#1.sqlite3.backup")
    found = items(other)
    shutil.rmtree(other)
    return found


def left(folder: Path) -> list[str]:
    """All names but those of locks, and what SQLite puts beside a database that is read."""
    names = [path.name for path in folder.iterdir() if path.suffix != ".lock"]
    return sorted({*names} - {"books#1.sqlite3-wal", "books#1.sqlite3-shm"})


def copy(store: SqliteStore) -> None:
    assert store.keep_copy(BOOKS, 1, goes_on) is not None


def check_copy(folder: Path, code: int) -> None:
    """The copy is the old one or the new one; what is left of another goes with the next start."""
    assert in_copy(folder) in ([NEW] if code == 0 else [OLD, NEW])
    store = SqliteStore(folder)
    store.remove_leftovers()
    known = [".gitignore", "books#1.sqlite3", "books#1.sqlite3.backup", "books#1.sqlite3.inflight"]
    assert left(folder) == known, left(folder)
    assert items(folder) == NEW
    copy(store)
    assert in_copy(folder) == NEW


def damage(folder: Path) -> None:
    (folder / "books#1.sqlite3").write_bytes(b"\0" * 8192)
    (folder / "books#1.sqlite3-wal").write_bytes(b"the last commits")


def restore(store: SqliteStore) -> None:
    with store.door("books"):
        assert store.restore_damaged("books") is not None


def check_restored(folder: Path, code: int) -> None:
    """The next start restores the job, or finds it restored; nothing that was damaged is gone."""
    store = SqliteStore(folder)
    store.remove_leftovers()
    with store.door("books"):
        store.restore_damaged("books")
        assert store.restore_damaged("books") is None
    job = store.resume(BOOKS, opening())
    job.close(Closing("paused", "shutdown"))
    assert items(folder) == OLD
    aside = [name for name in left(folder) if "damaged" in name]
    contents = {(folder / name).read_bytes() for name in aside}
    assert contents == {b"\0" * 8192, b"the last commits"}, aside
    assert [name for name in left(folder) if ".new" in name] == []
    assert in_copy(folder) == OLD


SCENARIOS: Final = {
    "copy": (lambda folder: None, copy, check_copy),
    "restore": (damage, restore, check_restored),
}


def killed(folder: Path, scenario: str, step: int) -> Iterator[int]:
    prepare, work, check = SCENARIOS[scenario]
    template = folder / "template"
    fill(template)
    prepare(template)
    for number in count(1, step):
        place = folder / str(number)
        shutil.copytree(template, place)
        code = in_child(place, work, number)
        assert code in (0, KILLED), code
        check(place, code)
        shutil.rmtree(place)
        if code == 0:
            return
        yield number


if __name__ == "__main__":
    for number in killed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])):
        print(number, flush=True)
