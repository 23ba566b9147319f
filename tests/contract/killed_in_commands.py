"""Ends a process at the n-th step of a command that changes a job's file, for many n or for all.

A step is an SQL statement, or a call that opens, renames or removes a file. Run as a program with a
directory and a stride: for each command it forks a child for each n (it has one thread, so that is
safe), which ends by ``os._exit``: no ``finally``, no ``atexit``, no close. The job must then be as
it was before the command or as it is after it, and whole; the command, run again, and then the
crawl must come to the same end as if nobody had been killed. Prints one line for each command: how
many steps it has.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey, Phase, Selection, State
from scrapy_resume.store.sqlite.files import job_path
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore

from .killed_at_statements import KILLED, trace_connections
from .records import BOOKS, Run, admission, finish, opening

ROWS = 12
"""1 to 4 failed, 5 and 6 parked, 7 and 8 done, 9 and 10 in hand when the run died, 11 and 12
pending. Without a death they are all pending."""

FILE_STEPS = frozenset({"open", "os.remove", "os.rename"})

Command = Callable[[SqliteStore], object]


def retry(store: SqliteStore) -> object:
    return store.steer(BOOKS, Selection(states=(State.failed, State.parked)), State.pending)


def park(store: SqliteStore) -> object:
    return store.steer(BOOKS, Selection(states=(State.failed, State.pending)), State.parked)


def recover(store: SqliteStore) -> object:
    return store.recover(BOOKS, crash_limit=1)


def cancel(store: SqliteStore) -> object:
    store.cancel(BOOKS)
    return None


def clean(store: SqliteStore) -> object:
    try:
        return store.delete(BOOKS, completed_before=math.inf)
    except JobNotFoundError:
        return True  # it was deleted before


COMMANDS: dict[str, tuple[Command, str]] = {
    "retry": (retry, "died"),
    "retry of a completed job": (retry, "completed"),
    "park": (park, "died"),
    "recover": (recover, "died"),
    "cancel": (cancel, "died"),
    "clean": (clean, "completed"),
}
"""The command, and how the last run of its job has ended."""


def crawled(directory: Path, end: str) -> None:
    """A job whose run has died or completed, with requests in every state."""
    run = Run(SqliteStore(directory).begin(BOOKS, opening()))
    run.admit(*(admission(row, slot=f"host{row % 2}") for row in range(1, ROWS + 1)))
    for slot in ("host0", "host1"):
        run.lease(ROWS, slot)
    run.finish(*(finish(row, state=State.failed, error="E") for row in (1, 2, 3, 4)))
    run.finish(*(finish(row, state=State.parked, error="E") for row in (5, 6)))
    run.finish(finish(7, ['"seven"']), finish(8, ['"eight"']))
    if end == "completed":
        run.finish(*(finish(row, [f"{row}"]) for row in range(9, ROWS + 1)))
        run.close("completed", "finished")
        return
    for row in (9, 10):
        run.job.mark(row, Phase.answered)
    run.die()


def finish_crawl(directory: Path) -> None:
    """Crawl on until nothing is pending; a job that was deleted stays so."""
    store = SqliteStore(directory)
    if store.latest("books") is None:
        return
    run = Run(store.resume(BOOKS, opening()))
    for slot in ("host0", "host1"):
        while rows := run.lease(slot=slot):
            run.finish(*(finish(row.id, [f'"again {row.id}"']) for row in rows))
    run.close("completed", "finished")


def state_of(directory: Path) -> Any:
    """What a reader finds, without times; ``None``: no job. Fails if the job is not whole."""
    path = job_path(directory, BOOKS)
    if not path.exists():
        return None
    verdict = SqliteStore(directory).verify(BOOKS)
    assert not verdict.violations, verdict
    reader = SqliteReader(directory)
    summary = reader.summary(BOOKS)
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT id, state, attempts, crashes, error, items FROM request ORDER BY id"
    ).fetchall()
    connection.close()
    items = sorted(payload for _, payload in reader.items(JobKey("books", 1)))
    return summary.status, asdict(summary.counts), rows, items


def killed_at(directory: Path, command: Command, last: int) -> bool:
    """Run a command in a child that ends before its step ``last``; whether it came to its end."""
    child = os.fork()
    if child == 0:
        steps = count(1)

        def step(*_: object) -> None:
            if next(steps) == last:
                os._exit(KILLED)

        trace_connections(step)
        sys.addaudithook(lambda event, _: step() if event in FILE_STEPS else None)
        command(SqliteStore(directory))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), status
    return status == 0


def main() -> None:
    base, stride = Path(sys.argv[1]), int(sys.argv[2])
    for name, (command, end) in COMMANDS.items():
        began = base / name / "began"
        crawled(began, end)
        before = state_of(began)
        whole = base / name / "whole"
        shutil.copytree(began, whole)
        command(SqliteStore(whole))
        after = state_of(whole)
        finish_crawl(whole)
        final = state_of(whole)
        for last in count(1, stride):
            directory = base / name / str(last)
            shutil.copytree(began, directory)
            ended = killed_at(directory, command, last)
            found = state_of(directory)
            assert found in (before, after), (name, last, found, before, after)
            command(SqliteStore(directory))
            assert state_of(directory) == after, (name, last, state_of(directory), after)
            finish_crawl(directory)
            assert state_of(directory) == final, (name, last, state_of(directory), final)
            if ended:
                print(f"{name}: {last}")
                break


if __name__ == "__main__":
    main()
