"""Deliveries that are cut off, meet a database that is out, or another writer."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from scrapy_resume.databases import bulk
from scrapy_resume.databases.database_feed import DatabaseFeed
from scrapy_resume.databases.target import FencedError, Target
from scrapy_resume.databases.writes import Put, Write
from scrapy_resume.errors import DatabaseUnavailableError
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.store.contract import LogMark

from .following import Job, follow, in_a_loop, new_feed, new_target
from .shelf import Shelf


class _DeadError(BaseException):
    """Stands for the end of the process."""


def engine_of(target: Target) -> sa.Engine:
    return target._connection._engine


def dying_at(place: int) -> Callable[..., None]:
    """The process ends before its n-th statement, or commit."""
    left = count(place, -1)

    def die(*_: Any) -> None:
        if next(left) == 0:
            raise _DeadError

    return die


def dies(die: Callable[..., None]) -> Callable[[DatabaseFeed], None]:
    def prepare(feed: DatabaseFeed) -> None:
        engine = engine_of(feed._target)
        event.listen(engine, "before_cursor_execute", die)
        event.listen(engine, "commit", die)

    return prepare


def small_job() -> Job:
    job = Job()
    for number in range(3):
        job.put({"n": number}, number)
    return job


def changed(job: Job) -> None:
    job.put({"n": 10, "new": "x"}, 1)
    job.put({"n": 3.5}, 3)
    job.take_back(0)


@pytest.mark.parametrize("key", [None, "id"])
@pytest.mark.parametrize(
    ("dialect", "items", "places"),
    [
        ("sqlite", 3, range(4, 60, 11)),
        pytest.param("sqlite", 3, range(999), marks=pytest.mark.soak),
        pytest.param("sqlite", 30, range(999), marks=pytest.mark.soak),
        pytest.param("postgresql", 3, range(999), marks=pytest.mark.soak),
        pytest.param("postgresql", 30, range(999), marks=pytest.mark.soak),  # by COPY
    ],
)
def test_dead_at_any_statement_the_next_run_makes_it_whole(
    database: Shelf,
    key: str | None,
    items: int,
    places: range,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 2 if items == 3 else 25
    how: dict[str, Any] = {"on_removed": "delete", "primary_key": key, "batch_size": size}
    copy = bulk._copy
    for place in places:
        table = f"items_{place}"
        job = Job(f"job-{place}")
        for number in range(items):
            job.put({"id": number, "n": number}, number)
        die = dying_at(place)
        monkeypatch.setattr(bulk, "_copy", lambda *of, die=die: (die(), copy(*of)))
        first = follow(database.uri(table), job, prepare=dies(die), **how)
        job.put({"id": 1, "n": 10, "new": "x"}, 1)
        job.put({"id": items, "n": 3.5}, items)
        job.take_back(0)
        second = follow(database.uri(table), job, prepare=dies(die), **how)
        monkeypatch.setattr(bulk, "_copy", copy)
        assert follow(database.uri(table), job, **how).delivered
        rows = sorted((row["n"], row["new"] or "") for row in database.rows(table))
        wanted = [(2, ""), (3.5, ""), *((n, "") for n in range(3, items)), (10, "x")]
        assert rows == sorted(wanted), place
        if first.delivered and second.delivered:
            break
    else:
        return  # some of the places
    assert place > 20


def test_a_commit_whose_answer_is_lost_is_not_made_again(database: Shelf) -> None:
    job, uri = small_job(), database.uri()

    def prepare(feed: DatabaseFeed) -> None:
        connection = feed._target._connection
        lost = iter([True])
        ordinary = connection.transaction

        @contextmanager
        def transaction() -> Any:
            with ordinary() as one:
                delivers = feed._target._standing is not None and not feed._target.standing.new
                yield one
            if feed._target._attempt is not None and next(lost, False):
                raise DatabaseUnavailableError("the answer is lost")
            del delivers

        connection.transaction = transaction  # type: ignore[method-assign]

    assert follow(uri, job, timeout_seconds=30, prepare=prepare).delivered
    assert sorted(row["n"] for row in database.rows()) == [0, 1, 2]


def test_a_writer_that_was_taken_for_dead_writes_nothing_any_more(database: Shelf) -> None:
    job = small_job()
    old = new_target(database.uri(), job, writer="old:1")
    new = new_target(database.uri(), job, writer="new:2")
    assert old.claim(None)
    put = [Write("1.0", 1, Put({"n": 1}))]
    old.deliver(put, [LogMark(1, 1.0, 1)])
    assert not new.claim(30.0)
    assert new.claim(0.0)
    with pytest.raises(FencedError):
        old.deliver([Write("2.0", 2, Put({"n": 2}))], [LogMark(1, 1.0, 2)])
    assert new.standing.position == (LogMark(1, 1.0, 1),)
    new.deliver([Write("2.0", 2, Put({"n": 3}))], [LogMark(1, 1.0, 2)])
    assert sorted(row["n"] for row in database.rows()) == [1, 3]
    for target in (old, new):
        target.close()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_writer_that_is_frozen_in_a_transaction_does_not_keep_the_feed(
    database: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrapy_resume.databases.connection.BUSY_SECONDS", 0.1)
    job = small_job()
    old = new_target(database.uri(), job, writer="frozen:1")
    new = new_target(database.uri(), job, writer="new:2")
    assert old.claim(None)
    old.deliver([Write("1.0", 1, Put({"n": 1}))], [LogMark(1, 1.0, 1)])
    with engine_of(old).connect() as frozen:
        frozen.begin()
        old._fence(frozen, writer="frozen:1")
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            new.claim(30.0)
        frozen.execute(sa.text("SELECT 1"))  # it was not silent for so long
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            new.claim(0.0)
        assert new.claim(0.0)
        with pytest.raises(sa.exc.OperationalError, match="terminating connection"):
            frozen.execute(sa.text("SELECT 1"))
    with pytest.raises(FencedError):
        old.deliver([Write("2.0", 2, Put({"n": 2}))], [LogMark(1, 1.0, 2)])
    new.deliver([Write("2.0", 2, Put({"n": 3}))], [LogMark(1, 1.0, 2)])
    assert sorted(row["n"] for row in database.rows()) == [1, 3]
    for target in (old, new):
        target.close()


def test_workers_of_a_fleet_hand_the_feed_over(database: Shelf) -> None:
    """One is gone, and its place is taken; the one that comes last delivers all."""
    job = small_job()

    async def run() -> tuple[DatabaseFeed, DatabaseFeed]:
        clock = AsyncioClock()
        first = new_feed(database.uri(), job, clock, shared=30.0, writer="one:1")
        second = new_feed(database.uri(), job, clock, shared=30.0, writer="two:2")
        first.end(final=False)
        await first.follow()
        job.put({"n": 3}, 3)
        second.end(final=True)
        await second.follow()
        return first, second

    first, second = in_a_loop(run)
    assert first.left
    assert not first.error
    assert second.delivered
    assert sorted(row["n"] for row in database.rows()) == [0, 1, 2, 3]


def test_a_locked_database_is_waited_for_and_the_feed_says_how_far_behind_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrapy_resume.databases.connection.BUSY_SECONDS", 0.1)
    caplog.set_level(logging.INFO, "scrapy_resume")
    path, job = tmp_path / "shop.db", small_job()
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE mine (a)")
    holder.execute("BEGIN EXCLUSIVE")
    locked = threading.Event()

    def prepare(feed: DatabaseFeed) -> None:
        told = feed._unavailable

        def unavailable(error: Any) -> None:
            told(error)
            if not locked.is_set():
                locked.set()
                holder.execute("COMMIT")

        feed._unavailable = unavailable  # type: ignore[method-assign]

    feed = follow(f"sqlite:///{path}#items", job, timeout_seconds=30, prepare=prepare)
    holder.close()
    assert feed.delivered
    assert locked.is_set()
    assert "database is locked. The crawl goes on; about 3 changes wait" in caplog.text
    assert "it can be written again" in caplog.text


def test_a_database_that_stays_out_is_given_up_at_the_close(tmp_path: Path) -> None:
    folder = tmp_path / "shop.db"
    folder.mkdir()
    feed = follow(f"sqlite:///{folder}#items", small_job())
    assert isinstance(feed.error, DatabaseUnavailableError)
    assert "about 3 changes behind" in str(feed.error)
    folder.rmdir()
    assert follow(f"sqlite:///{folder}#items", small_job()).delivered


def test_a_server_that_is_restarted_in_the_middle_is_met_again(
    postgres_server: Any,
) -> None:
    url = postgres_server.new_database()
    with Shelf(url) as shelf:
        job = small_job()
        target = new_target(shelf.uri(), job)
        target.claim(None)
        target.deliver([Write("1.0", 1, Put({"n": 1}))], [LogMark(1, 1.0, 1)])
        postgres_server.restart("immediate")
        with suppress(DatabaseUnavailableError):  # or it was met again at once
            target.deliver([Write("2.0", 2, Put({"n": 2}))], [LogMark(1, 1.0, 2)])
        target.deliver([Write("2.0", 2, Put({"n": 2}))], [LogMark(1, 1.0, 2)])
        target.close()
        assert sorted(row["n"] for row in shelf.rows()) == [1, 2]


def test_a_table_that_was_dropped_between_runs_is_written_anew(database: Shelf) -> None:
    job = small_job()
    follow(database.uri(), job)
    database.execute("DROP TABLE items")
    changed(job)
    feed = follow(database.uri(), job)
    assert feed.delivered
    assert sorted(row["n"] for row in database.rows()) == [2, 3.5, 10]
