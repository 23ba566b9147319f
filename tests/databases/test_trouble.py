"""Databases that are full, read-only or locked, lose a connection in the middle, or are changed by
others while they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from scrapy_resume.databases import bulk
from scrapy_resume.databases.database_feed import DatabaseFeed
from scrapy_resume.errors import DatabaseFeedError, DatabaseUnavailableError

from .following import Job, follow
from .shelf import Shelf

ROWS = 60


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scrapy_resume.databases.connection.BUSY_SECONDS", 0.1)


def job_of(rows: int) -> Job:
    job = Job()
    for number in range(rows):
        job.put({"n": number, "text": "x" * 200}, number)
    return job


def numbers(database: Shelf) -> list[int]:
    return sorted(row["n"] for row in database.rows())


def when_out(then: Callable[[], Any]) -> Callable[[DatabaseFeed], None]:
    """Call it once, when the feed has found its database out."""

    def prepare(feed: DatabaseFeed) -> None:
        told, first = feed._unavailable, count()

        def unavailable(error: Any) -> None:
            told(error)
            if next(first) == 0:
                then()

        feed._unavailable = unavailable  # type: ignore[method-assign]

    return prepare


def before_delivery(number: int, then: Callable[[], Any]) -> Callable[[DatabaseFeed], None]:
    def prepare(feed: DatabaseFeed) -> None:
        deliver, calls = feed._target.deliver, count(1)

        def delivered(*of: Any) -> Any:
            if next(calls) == number:
                then()
            return deliver(*of)

        feed._target.deliver = delivered  # type: ignore[method-assign]

    return prepare


@pytest.mark.parametrize("key", [None, "n"])
@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_locked_table_is_waited_for(database: Shelf, key: str | None) -> None:
    job = job_of(1)
    assert follow(database.uri(), job, primary_key=key).delivered
    for number in range(1, ROWS):
        job.put({"n": number, "text": "y"}, number)
    with database.engine.connect() as other:
        other.execute(sa.text("LOCK TABLE items IN EXCLUSIVE MODE"))
        feed = follow(
            database.uri(),
            job,
            timeout_seconds=30,
            prepare=when_out(other.rollback),
            primary_key=key,
        )
    assert feed.delivered, feed.error
    assert numbers(database) == list(range(ROWS))


@pytest.mark.parametrize("key", [None, "n"])
@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_connection_that_ends_in_the_middle_of_copy_is_made_again(
    database: Shelf,
    postgres_server: Any,
    key: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordinary, calls = bulk._pieces, count(1)

    def pieces(*of: Any) -> Iterator[str]:
        for piece in ordinary(*of):
            yield piece[: len(piece) // 2]
            if next(calls) in (1, 4):
                assert postgres_server.end_connections(database.url)
            yield piece[len(piece) // 2 :]

    monkeypatch.setattr(bulk, "_pieces", pieces)
    feed = follow(database.uri(), job_of(ROWS), timeout_seconds=30, batch_size=30, primary_key=key)
    assert feed.delivered, feed.error
    assert next(calls) >= 6
    assert numbers(database) == list(range(ROWS))
    assert len(database.side_rows()) == ROWS


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_full_disk_is_waited_for(database: Shelf) -> None:
    pages = [20]

    def prepare(feed: DatabaseFeed) -> None:
        @event.listens_for(feed._target._connection._engine, "begin")
        def limit(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages[0]}")

        when_out(lambda: pages.__setitem__(0, 100_000))(feed)

    feed = follow(
        database.uri(), job_of(2_000), timeout_seconds=30, prepare=prepare, batch_size=100
    )
    assert feed.delivered, feed.error
    assert pages == [100_000]
    assert numbers(database) == list(range(2_000))


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_server_that_is_read_only_for_a_time_is_waited_for(database: Shelf) -> None:
    name = database.url.rpartition("/")[2]
    change = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    follow(database.uri(), job_of(1))
    database.execute(change + "on")

    def writable() -> None:
        with database.engine.begin() as connection:
            connection.execute(sa.text("SET TRANSACTION READ WRITE"))
            connection.execute(sa.text(change + "off"))

    feed = follow(database.uri(), job_of(ROWS))
    assert isinstance(feed.error, DatabaseUnavailableError)
    assert "read-only" in str(feed.error)
    feed = follow(database.uri(), job_of(ROWS), timeout_seconds=30, prepare=when_out(writable))
    assert feed.delivered, feed.error
    assert numbers(database) == list(range(ROWS))


@pytest.mark.parametrize("out", [False, True])
def test_a_table_that_is_dropped_in_mid_run_is_written_anew_by_the_next(
    database: Shelf, out: bool
) -> None:
    job = job_of(ROWS)
    feeds: list[DatabaseFeed] = []

    def drop() -> None:
        database.execute("DROP TABLE items")
        if out:  # the feed looks at the table again after it
            feeds[0]._target._table.forget()

    def prepare(feed: DatabaseFeed) -> None:
        feeds.append(feed)
        before_delivery(2, drop)(feed)

    feed = follow(database.uri(), job, prepare=prepare, batch_size=25)
    assert isinstance(feed.error, DatabaseFeedError)
    assert "items" in str(feed.error)
    assert not feed.delivered
    assert follow(database.uri(), job, batch_size=25).delivered
    assert numbers(database) == list(range(ROWS))


def test_a_column_that_is_renamed_in_mid_run_stops_the_feed_and_no_row_is_lost(
    database: Shelf,
) -> None:
    job = job_of(ROWS)
    rename = "ALTER TABLE items RENAME COLUMN text TO body"
    feed = follow(
        database.uri(),
        job,
        prepare=before_delivery(2, lambda: database.execute(rename)),
        batch_size=25,
    )
    assert isinstance(feed.error, DatabaseFeedError)
    assert "text" in str(feed.error)
    assert follow(database.uri(), job, batch_size=25).delivered
    rows = database.rows()
    assert sorted(row["n"] for row in rows) == list(range(ROWS))
    assert all((row["body"] or row["text"]) == "x" * 200 for row in rows)
