"""Ends a command at its n-th operation on a file, for many n or for every one.

Run as a program, with a directory, a scenario and a step. It forks a child for each n (it has one
thread, so that is safe) which ends by ``os._exit`` before its n-th open, rename, unlink or mkdir
in the directory; checks what is there; gives the command again; and checks that nothing is left.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from scrapy.cmdline import execute
from scrapy.settings import Settings

from scrapy_resume.events.log_files import segment_path
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Closing
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.contract.records import BOOKS, Run, admission, finish, opening

KILLED = 9
ITEMS = ['"a"', '"b"']
OTHER = JobKey("maps", 1)
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect")


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    said: str


def fill(folder: Path, *, completed: bool) -> None:
    """A store with books#1, as a process that died has left it, unless it is ``completed``; its
    event log; and another job."""
    store = SqliteStore(folder / "store")
    for key in (BOOKS, OTHER):
        run = Run(store.begin(key, opening()))
        first = run.next_id
        run.admit(*(admission(first + n, lease=True) for n in range(2)))
        run.finish(finish(first, ITEMS))
        if completed or key == OTHER:
            run.finish(finish(first + 1))
            run.job.close(Closing("completed", "finished"))
        else:
            run.job.abandon()
            # SQLite removes its files with the last connection: a dead process leaves them.
            for suffix in ("-wal", "-shm"):
                (folder / "store" / f"{key}.sqlite3{suffix}").touch()
    events = folder / "store" / "events"
    events.mkdir()
    for key in (BOOKS, OTHER):
        segment_path(events, key, 1, 1).write_text("{}\n")


def call(folder: Path, *words: str, killed_at: int | None = None) -> Answer:
    """Give a command in a child, which may be killed."""
    output, written = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(output)
        code = 1
        try:
            os.chdir(folder)
            os.dup2(written, 2)
            os.dup2(written, 1)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False))
            sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False))
            if killed_at is not None:
                kill_at(killed_at, folder)
            execute(["scrapy", "resume", *words], Settings({"RESUME_STORE": str(folder / "store")}))
        except SystemExit as ended:
            code = int(ended.code or 0)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(written)
    with os.fdopen(output) as said:
        text = said.read()
    return Answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text)


def kill_at(last: int, folder: Path) -> None:
    """End this process before its ``last`` operation on a file in the folder."""
    operations = count(1)
    inside = str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        of_folder = event in EVENTS and inside in str(arguments[0])
        if of_folder and next(operations) == last:
            os._exit(KILLED)

    sys.addaudithook(hook)


def names(folder: Path) -> list[str]:
    """Every file and directory, but for the locks of doors, which stay, and what SQLite puts beside
    a database that is read."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    reading = [f"{name}{end}" for name in found for end in ("-wal", "-shm")]
    return sorted({*found} - {*reading} - {name for name in found if name.endswith(".door.lock")})


def kept(folder: Path, key: JobKey = BOOKS) -> list[str] | None:
    """The items of the job in the store; ``None``: it is not there."""
    store = SqliteStore(folder / "store")
    if key not in store.jobs():
        return None
    verdict = store.verify(key)
    assert verdict.violations == [], verdict
    return [payload for _, payload in SqliteReader(folder / "store").items(key)]


REST = ["store", "store/.gitignore", "store/events", "store/events/maps#1.run-1.0001.jsonl"]
ALONE = sorted([*REST, "store/maps#1.sqlite3"])


def reset(folder: Path, answer: Answer) -> None:
    """Killed, the job is whole or hidden; given again, nothing of it is left."""
    whole = kept(folder)
    assert whole in (None, ITEMS), whole
    again = call(folder, "reset", "books#1", "--yes")
    if whole is None and "no job" in again.said:
        assert answer.code in (0, KILLED)
    else:
        assert again.code == 0, again
        assert "books#1 is deleted" in again.said
        assert whole or "interrupted" in again.said
    assert names(folder) == ALONE, (again, names(folder))


def reset_then_another(folder: Path, answer: Answer) -> None:
    """Any other command that may write completes the deletion."""
    if kept(folder) is not None:
        return
    unfinished = names(folder) != ALONE
    again = call(folder, "verify", "maps")
    assert again.code == 0
    assert ("interrupted" in again.said) == unfinished, again
    assert names(folder) == ALONE, (again, names(folder))


def clean(folder: Path, answer: Answer) -> None:
    assert kept(folder) in (None, ITEMS)
    again = call(folder, "clean", "--days", "0")
    assert again.code == 0, again
    left = [name for name in names(folder) if "books" in name or "maps" in name]
    assert left == [], again


def backup(folder: Path, answer: Answer) -> None:
    """Killed, the file is whole or not there; given again, nothing else is left beside it."""
    target = folder / "out" / "books.backup"
    if answer.code == 0:
        assert target.exists()
    if target.exists():
        other = SqliteStore(folder / "elsewhere")
        assert other.restore(target) == BOOKS
        assert [text for _, text in SqliteReader(folder / "elsewhere").items(BOOKS)] == ITEMS
    left = [name for name in names(folder) if name.endswith(".part")]
    again = call(folder, "backup", "books", "out/books.backup", "--overwrite")
    assert again.code == 0, again
    assert ("was left by a command that was killed" in again.said) == bool(left)
    assert sorted(path.name for path in target.parent.iterdir()) == ["books.backup"]
    assert kept(folder) == ITEMS


def restore(folder: Path, answer: Answer) -> None:
    """Killed, the job is whole or not there; given again, it is there, and nothing is left."""
    before = kept(folder)
    again = call(folder, "restore", "books.backup")
    assert again.code == 0 or (before == ITEMS and "exists already" in again.said), again
    assert kept(folder) == ITEMS
    call(folder, "recover", "books")
    assert names(folder / "store") == [
        ".gitignore",
        "books#1.sqlite3",
        "events",
        "events/maps#1.run-1.0001.jsonl",
        "maps#1.sqlite3",
    ], again


class Scenario(NamedTuple):
    """A command, what it finds, and what has to be true when it was killed."""

    words: tuple[str, ...]
    completed: bool
    check: Callable[[Path, Answer], None]


SCENARIOS = {
    "reset": Scenario(("reset", "books#1", "--yes"), False, reset),
    "reset-another": Scenario(("reset", "books#1", "--yes"), False, reset_then_another),
    "clean": Scenario(("clean", "--days", "0"), True, clean),
    "backup": Scenario(("backup", "books", "out/books.backup"), False, backup),
    "restore": Scenario(("restore", "books.backup"), True, restore),
}


def templates(folder: Path, scenario: Scenario) -> Path:
    """What the command finds, to be copied for each n."""
    template = folder / "template"
    fill(template, completed=scenario.completed)
    if scenario.words[0] == "restore":
        store = SqliteStore(template / "store")
        store.backup(BOOKS, template / "books.backup")
        store.delete(BOOKS)
        segment_path(template / "store" / "events", BOOKS, 1, 1).unlink()
    return template


def killed(folder: Path, scenario: Scenario, step: int) -> Iterator[int]:
    template = templates(folder, scenario)
    for number in count(1, step):
        place = folder / str(number)
        shutil.copytree(template, place)
        answer = call(place, *scenario.words, killed_at=number)
        assert answer.code in (0, KILLED), answer
        scenario.check(place, answer)
        shutil.rmtree(place)
        if answer.code == 0:
            return
        yield number


if __name__ == "__main__":
    for number in killed(Path(sys.argv[1]), SCENARIOS[sys.argv[2]], int(sys.argv[3])):
        print(number, flush=True)
