"""Writers that begin at the same moment: workers of one job, and jobs that share a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import TypeVar

import pytest

from scrapy_resume.databases.target import Target
from scrapy_resume.databases.writes import Put, Write
from scrapy_resume.errors import DatabaseFeedError, DatabaseUnavailableError
from scrapy_resume.store.contract import LogMark

from .following import Job, follow, new_target
from .shelf import Shelf

T = TypeVar("T")

WRITERS = 6


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What calls return that begin together, each in a thread."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def claiming(target: Target) -> Callable[[], bool]:
    """Whether the feed is claimed; if the database says "once more", as a feed does, it is not."""

    def claim() -> bool:
        try:
            return target.claim(silent_seconds=60.0)
        except DatabaseUnavailableError:
            return False

    return claim


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_of_workers_that_begin_at_once_one_has_the_feed(database: Shelf, isolation: str) -> None:
    if database.dialect == "postgresql":
        ((name,),) = database.execute("SELECT current_database()")
        database.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    with closing(new_target(database.uri(), Job("before"))) as before:  # makes the side tables
        before.claim(silent_seconds=None)
    for number in range(8):
        job = Job(f"job-{number}")
        targets = [new_target(database.uri(), job, 5, f"host:{n}") for n in range(WRITERS)]
        claimed = at_once([claiming(target) for target in targets])
        assert sum(claimed) <= 1
        late = [target.claim(silent_seconds=60.0) for target in targets]
        assert sum(late) == 1
        assert not any(claimed) or late == claimed
        for target in targets:
            target.close()


def test_workers_that_begin_at_once_in_an_empty_database_make_its_tables_once(
    database: Shelf,
) -> None:
    job = Job()
    targets = [new_target(database.uri(), job, 5, f"host:{n}") for n in range(WRITERS)]
    at_once([claiming(target) for target in targets])
    assert sum(target.claim(silent_seconds=60.0) for target in targets) == 1
    for target in targets:
        target.close()


@pytest.mark.parametrize("key", [None, "n"])
def test_jobs_that_begin_at_once_share_a_table_that_is_not_there_yet(
    database: Shelf, key: str | None
) -> None:
    jobs = []
    for number in range(WRITERS):
        job = Job(f"job-{number}", f"books-{number}#1")
        for place in range(20):
            job.put({"n": 100 * number + place, f"field_{place % 3}": "x"}, place)
        jobs.append(job)
    feeds = at_once(
        [lambda job=job: follow(database.uri(), job, 30.0, primary_key=key) for job in jobs]
    )
    assert [feed.error for feed in feeds] == [None] * WRITERS
    expected = sorted(100 * number + place for number in range(WRITERS) for place in range(20))
    assert sorted(row["n"] for row in database.rows()) == expected


@pytest.mark.parametrize("key", [None, "n"])
@pytest.mark.parametrize("removed", ["delete", "mark"])
def test_a_table_that_another_job_has_changed_since_it_was_read_loses_nothing(
    database: Shelf, key: str | None, removed: str
) -> None:
    """The other one makes the table, and later columns of it, of the same name and of another."""
    one, other = Job("job-1", "books-1#1"), Job("job-2", "books-2#1")
    targets = [new_target(database.uri(), job, 5, job.name, primary_key=key, on_removed=removed)
               for job in (one, other)]  # fmt: skip
    for target in targets:
        assert target.claim(silent_seconds=60.0)
    for number, names in enumerate([["a"], ["a", "b"], ["B", "c"], ["d", "a", "c"]]):
        for base, target in enumerate(targets):
            fields = {"n": 10 * number + base, **dict.fromkeys(names, f"text {number}")}
            write = Write(f"{number}.0", number + 1, Put(fields))
            outcome = target.deliver([write], (LogMark(1, 0.0, number + 1),))
            if database.dialect == "sqlite" and "B" in names:  # which it takes for "b"
                assert "duplicate column" in str(outcome.faults)
            else:
                assert not outcome.faults
    for target in targets:
        target.close()
    written = [row["n"] for row in database.rows()]
    assert sorted(written) == ([0, 1, 10, 11, 30, 31] if database.dialect == "sqlite" else
                               [0, 1, 10, 11, 20, 21, 30, 31])  # fmt: skip


def test_a_name_that_is_an_index_of_somebody_is_an_error_and_no_endless_wait(
    database: Shelf,
) -> None:
    database.execute("CREATE TABLE theirs (n integer)")
    database.execute("CREATE INDEX items ON theirs (n)")
    job = Job()
    job.put({"n": 1}, 1)
    feed = follow(database.uri(), job, 5.0)
    assert isinstance(feed.error, DatabaseFeedError)
    assert "items" in str(feed.error)
