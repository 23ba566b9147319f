"""A store that an older version wrote is brought to this version's schema, with what it holds.

``schemas/`` has the schemas as they once were.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import ConfigurationError, SchemaTooOldError
from scrapy_resume.model import UnitState
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction.queries import split_statements

from .records import BOOKS, SLOT, finish, opening

SCHEMAS = Path(__file__).parent / "schemas"

# id, unit, state, attempts, items, items_failed, error, updated_at; unit -1 is named.
REQUESTS = [
    (1, -1, 2, 1, 2, 0, None, 30),
    (2, -1, 3, 3, 0, 0, "OneError", 10),
    (3, -1, 3, 2, 0, 0, "OtherError", 20),
    (4, -1, 2, 1, 1, 0, None, 15),
    (5, 5, 0, 0, 0, 0, None, 5),
    (6, 6, 2, 1, 0, 1, "PipelineError", 40),
    (7, 7, 4, 1, 0, 0, "crash", 41),
    (8, 8, 0, 1, 0, 0, None, 42),
    (9, 8, 5, 1, 0, 0, "duplicate", 43),
    (10, 10, 3, 1, 0, 0, "HttpError", 44),
]
UNITS = {
    "city": ("partial", 0, 2, 2, 0, 0, 3, 0, 7, "OtherError", "1"),
    "5": ("pending", 1, 0, 0, 0, 0, 0, 0, 0, None, None),
    "6": ("partial", 0, 1, 0, 0, 0, 0, 1, 1, None, "6"),
    "7": ("parked", 0, 0, 0, 1, 0, 0, 0, 1, "crash", None),
    "8": ("in_progress", 1, 0, 0, 0, 1, 0, 0, 2, None, None),
    "10": ("failed", 0, 0, 1, 0, 0, 0, 0, 1, "HttpError", None),
}
TALLY = {
    UnitState.in_progress: 1,
    UnitState.failed: 1,
    UnitState.partial: 2,
    UnitState.parked: 1,
    UnitState.pending: 1,
    UnitState.completed: 0,
}
KEYS = (
    "state",
    "open",
    "done",
    "failed",
    "parked",
    "ignored",
    "items",
    "items_failed",
    "attempts",
    "error",
    "cursor",
)


def check(reader: Any) -> None:
    found = {}
    for row in reader.units(BOOKS):
        row["cursor"] = row["cursor"] and row["cursor"].rpartition("/")[2]
        found[row["unit"].rpartition("/")[2]] = tuple(row[key] for key in KEYS)
    assert found == UNITS
    assert reader.unit_tally(BOOKS) == TALLY


def go_on(store: Any, reader: Any) -> None:
    """A run counts on from what the migration has counted."""
    job = store.resume(BOOKS, opening())
    from .records import Run

    run = Run(job)
    run.lease()
    run.finish(finish(5, attempts=1))
    run.close()
    found = {row["unit"]: row["state"] for row in reader.units(BOOKS)}
    assert found[f"http://{SLOT}/5"] == "completed"
    assert reader.unit_tally(BOOKS)[UnitState.pending] == 0


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A job's file of version 1."""
    path = SqliteReader(tmp_path).path(BOOKS)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in split_statements((SCHEMAS / "sqlite_1.sql").read_text()):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO job (one, name, number, spider, status, epoch, next_id, created_at,"
            " updated_at, arguments, metadata, input_hashes, pending, done, failed, parked,"
            " ignored) VALUES (1, 'books', 1, 'books', 'paused', 1, 11, 0, 0, '{}', '{}', '{}',"
            " 2, 3, 3, 1, 1)"
        )
        connection.execute("INSERT INTO slot (key, pending) VALUES (?, 2)", (SLOT,))
        connection.execute("INSERT INTO unit (id, name) VALUES (1, 'city')")
        connection.execute(
            "INSERT INTO run (number, epoch, worker, status, started_at, beat_at, stats)"
            " VALUES (1, 1, 'h:1', 'paused', 0, 0, '{}')"
        )
        connection.executemany(
            "INSERT INTO request (id, unit, state, attempts, items, items_failed, error,"
            " updated_at, identity_head, identity_tail, kind, parent, slot, priority, start, seq,"
            " depth, run, url, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, x'00', 0, 0, 1, 0, 0,"
            " 0, 0, 1, ?, '{}')",
            [(*row, f"http://{SLOT}/{row[0]}") for row in REQUESTS],
        )
        # An item of start() is no request, and of no unit.
        connection.execute(
            "INSERT INTO request (id, unit, state, updated_at, identity_head, identity_tail, kind,"
            " parent, slot, priority, start, seq, depth, run, url, payload)"
            " VALUES (99, 99, 2, 0, 1, x'00', 1, 0, 1, 0, 0, 0, 0, 1, '', '{}')"
        )
    return path


def test_an_old_file_is_migrated_with_its_units_counted(old_file: Path) -> None:
    store, reader = SqliteStore(old_file.parent), SqliteReader(old_file.parent)
    store.resume(BOOKS, opening()).abandon()
    check(reader)
    go_on(store, reader)


def test_an_old_file_can_be_read_before_it_is_migrated(old_file: Path) -> None:
    reader = SqliteReader(old_file.parent)
    assert reader.summary(BOOKS).counts.total == 10
    assert reader.unit_tally(BOOKS) is None
    assert list(reader.units(BOOKS)) == []
    for question in (
        lambda: next(reader.requests(BOOKS)),
        lambda: reader.failures(BOOKS, 1, 9),
        lambda: SqliteStore(old_file.parent).verify(BOOKS),
    ):
        with pytest.raises(SchemaTooOldError, match="when its crawl has gone on"):
            question()


def test_a_migrated_file_is_like_a_new_one(old_file: Path, tmp_path: Path) -> None:
    SqliteStore(old_file.parent).resume(BOOKS, opening()).abandon()
    new = tmp_path / "new"
    SqliteStore(new).begin(BOOKS, opening()).abandon()
    assert shape(old_file) == shape(SqliteReader(new).path(BOOKS))


def shape(path: Path) -> Any:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY 1, 2").fetchall()
        columns = {
            # In no order: a column that was added comes last.
            name: sorted(
                (str(column[1:5]), column[5])
                for column in connection.execute(f"PRAGMA table_info('{name}')")
            )
            for kind, name in names
            if kind in ("table", "view")
        }
        rest = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'view') ORDER BY name"
        ).fetchall()
    return names, columns, [(name, re.sub(r"\s+", " ", sql or "")) for name, sql in rest]


# PostgreSQL


@pytest.fixture
def old_database(postgres_server: Any) -> Any:
    """(URL, connection) of a database with a job, of version 1."""
    psycopg = pytest.importorskip("psycopg")
    url = postgres_server.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((SCHEMAS / "postgres_1.sql").read_text())
        connection.execute("INSERT INTO scrapy_resume.migration VALUES (1, 0)")
        connection.execute(
            "INSERT INTO scrapy_resume.job (name, number, spider, status, next_run, next_id,"
            " created_at, updated_at, arguments, metadata, input_hashes, pending, done, failed,"
            " parked, ignored) VALUES ('books', 1, 'books', 'paused', 2, 100, 0, 0, '{}', '{}',"
            " '{}', 2, 3, 3, 1, 1)"
        )
        connection.execute(
            "INSERT INTO scrapy_resume.run (job, number, worker, process, status, started_at,"
            " beat_at, orphan_seconds, delay_seconds, next_id)"
            " VALUES (1, 1, 'h:1', '', 'paused', 0, 0, 30, 0, 1)"
        )
        connection.execute("INSERT INTO scrapy_resume.slot (job, key) VALUES (1, %s)", (SLOT,))
        connection.execute("INSERT INTO scrapy_resume.unit (job, name) VALUES (1, 'city')")
        for row, unit, state, attempts, *rest in REQUESTS:
            connection.execute(
                "INSERT INTO scrapy_resume.request (job, id, unit, state, attempts, items,"
                " items_failed, error, updated_at, parent, slot, priority, seq, depth, kind,"
                " start, every_run, identity, url, payload) VALUES (1, %s, %s, %s, %s, %s, %s,"
                " %s, %s, 0, 1, 0, 0, 0, 0, 0, 0, '', %s, '{}')",
                (row, unit, state, 0 if state == 0 else attempts, *rest, f"http://{SLOT}/{row}"),
            )
            if state == 0:
                connection.execute(
                    "INSERT INTO scrapy_resume.frontier (job, id, slot, priority, seq,"
                    " not_before, updated_at, run, attempts, crashes, kind, start, every_run,"
                    " suspect) VALUES (1, %s, 1, 0, 0, 0, 0, 0, %s, 0, 0, 0, 0, 0)",
                    (row, attempts),
                )
            elif state in (3, 4):
                connection.execute(
                    "INSERT INTO scrapy_resume.trouble VALUES (1, %s, %s)", (state, row)
                )
        yield url, connection


def test_an_old_database_is_migrated_with_its_units_counted(old_database: Any) -> None:
    from scrapy_resume.store.postgres.reader import PostgresReader
    from scrapy_resume.store.postgres.store import PostgresStore

    url, _ = old_database
    store, reader = PostgresStore(url), PostgresReader(url)
    assert reader.unit_tally(BOOKS) is None
    assert list(reader.units(BOOKS)) == []
    store.resume(BOOKS, opening()).abandon()
    check(reader)
    go_on(store, reader)


def test_a_migrated_database_is_like_a_new_one(old_database: Any, postgres_server: Any) -> None:
    import psycopg

    from scrapy_resume.store.postgres.schema import ensure_schema

    _, old = old_database
    ensure_schema(old, "here")
    with psycopg.connect(postgres_server.new_database(), autocommit=True) as new:
        ensure_schema(new, "there")
        for question in (
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'scrapy_resume'"
            " ORDER BY table_name, column_name",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'scrapy_resume'"
            " ORDER BY indexname",
            "SELECT viewname, definition FROM pg_views WHERE schemaname = 'scrapy_resume'"
            " ORDER BY viewname",
        ):
            assert old.execute(question).fetchall() == new.execute(question).fetchall()


def test_a_database_is_not_migrated_under_workers_of_an_older_version(old_database: Any) -> None:
    from scrapy_resume.store.postgres.schema import ensure_schema

    _, connection = old_database
    connection.execute(
        "UPDATE scrapy_resume.run SET status = 'running',"
        " beat_at = extract(epoch FROM clock_timestamp())"
    )
    with pytest.raises(ConfigurationError, match=r"older version .* at work: h:1\."):
        ensure_schema(connection, "here")
    connection.execute("UPDATE scrapy_resume.run SET beat_at = 0")
    ensure_schema(connection, "here")
