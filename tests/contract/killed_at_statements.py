"""Ends a process at the n-th SQL statement of a small crawl, for many n or for every one.

Run as a program, with a directory and a step: it forks a child for each n (it has one thread,
so that is safe), goes on with the job in the same way until it is completed, and prints one
line for each n. The child ends by ``os._exit``: no ``finally``, no ``atexit``, no close.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from scrapy_resume.model import JobKey, Phase
from scrapy_resume.store.contract import Closing, ItemRecord
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore

from .records import BOOKS, Run, admission, continuation, finish, opening, tombstone

KILLED = 9
LINKS = {
    "seed": ("a", "b", "b"),
    "a": ("b", "moved"),
    "b": (),
    "moved": (),
    "target": ("seed",),
}
EXPECTED = sorted(
    [*(f"{page}{n}" for page in ("a", "b", "target") for n in range(3))]
    + [f"seed{n}" for n in range(3)] * 3  # twice by start(), which counts; once by a link
    + ["by start"]
)


def opened(store: SqliteStore) -> Run | None:
    """Begin the job or go on with it; ``None``: it is completed."""
    with store.door("books"):
        latest = store.latest("books")
        if latest is not None and latest.status == "completed":
            return None
        job = store.begin(BOOKS, opening()) if latest is None else store.resume(BOOKS, opening())
    return Run(job)


def crawl(store: SqliteStore) -> None:
    """Begin the job or go on with it, until nothing is left."""
    run = opened(store)
    if run is None:
        return
    job = run.job
    seeds = [admission(run.next_id + n, "seed", counted=True) for n in range(2)]
    run.admit(*seeds)
    run.finish(tombstone(run.next_id, ["by start"], name="start item"))
    while rows := run.lease(2):
        for row in rows:
            job.mark(row.id, Phase.answered)
        for row in rows:
            fetch(run, row.id, row.url.rpartition("/")[2])
            job.unmark(row.id)
    job.close(Closing("completed", "finished"))


def fetch(run: Run, row: int, page: str) -> None:
    """What a page gives; one of them redirects, one spills its items first."""
    if page == "moved":
        if row in run.admit(continuation(row, "target")).duplicates:
            return
        page = "target"
    run.admit(*(admission(run.next_id + n, link) for n, link in enumerate(LINKS[page])))
    items = [ItemRecord(n, f"{page}{n}") for n in range(3)]
    if page == "b":
        run.commit(spills=[(row, item) for item in items[:2]])
        run.commit(finishes=[finish(row, items[2:], spilled=True)], spider_state='"b"')
    else:
        run.commit(finishes=[finish(row, items)], cookies={"jar": page})


def run_until(directory: Path, last: int, crawl: Callable[[SqliteStore], None] = crawl) -> bool:
    """Crawl in a child that ends before its ``last`` statement; whether it came to its end."""
    child = os.fork()
    if child == 0:
        statements = count(1)

        def trace(_: str) -> None:
            if next(statements) == last:
                os._exit(KILLED)

        trace_connections(trace)
        crawl(SqliteStore(directory))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), status
    return status == 0


def trace_connections(trace: Any) -> None:
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


def main() -> None:
    base, step = Path(sys.argv[1]), int(sys.argv[2])
    for last in count(1, step):
        directory = base / str(last)
        whole = run_until(directory, last)
        if last % 4 == 0:
            run_until(directory, last)  # dies once more, in what the recovery does there
        crawl(SqliteStore(directory))
        reader = SqliteReader(directory)
        found = sorted(payload for _, payload in reader.items(JobKey("books", 1)))
        assert found == EXPECTED, (last, found)
        summary = reader.summary(BOOKS)
        assert (summary.status, summary.counts.open) == ("completed", 0)
        assert summary.counts.items_stored == len(EXPECTED)
        print(last)
        if whole:
            return


if __name__ == "__main__":
    main()
