from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Opening
from scrapy_resume.store.sqlite import opening as sqlite_opening
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction import migrations
from scrapy_resume.store.transaction.migrations import (
    SCHEMA_VERSION,
    Migration,
    load_migrations,
    migrate,
)
from scrapy_resume.store.transaction.versions import COUNTS_MINUTES

KEY = JobKey("books", 1)

ADD_COLUMN = Migration(
    SCHEMA_VERSION + 1,
    f"""
-- What it is for; a semicolon in a comment.
ALTER TABLE job ADD COLUMN colour TEXT NOT NULL DEFAULT 'red;';
UPDATE job SET colour = 'blue';
PRAGMA user_version = {SCHEMA_VERSION + 1};
""",
)
ADD_TABLE = Migration(
    SCHEMA_VERSION + 2,
    f"CREATE TABLE shape (name TEXT);\nPRAGMA user_version = {SCHEMA_VERSION + 2};\n",
)
BROKEN = Migration(
    SCHEMA_VERSION + 2,
    f"CREATE TABLE shape (name TEXT);\nPRAGMA user_version = {SCHEMA_VERSION + 2};\n"
    "INSERT INTO nowhere VALUES (1);\n",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    SqliteStore(tmp_path).begin(KEY, Opening("books", "host:1")).abandon()
    connection = sqlite3.connect(tmp_path / "books#1.sqlite3", isolation_level=None)
    yield connection
    connection.close()


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def versions(connection: sqlite3.Connection) -> list[int]:
    return [row for (row,) in connection.execute("SELECT version FROM migration ORDER BY version")]


def test_a_new_job_has_the_newest_schema(connection: sqlite3.Connection) -> None:
    assert version(connection) == SCHEMA_VERSION
    assert versions(connection) == [SCHEMA_VERSION]


def test_migrations_and_their_records_are_applied_in_order(
    connection: sqlite3.Connection,
) -> None:
    assert migrate(connection, SCHEMA_VERSION, [ADD_COLUMN, ADD_TABLE]) == SCHEMA_VERSION + 2
    assert version(connection) == SCHEMA_VERSION + 2
    assert versions(connection) == [SCHEMA_VERSION + n for n in range(3)]
    assert connection.execute("SELECT colour FROM job").fetchall() == [("blue",)]


def test_what_was_applied_is_not_applied_again(connection: sqlite3.Connection) -> None:
    migrate(connection, SCHEMA_VERSION, [ADD_COLUMN])
    assert migrate(connection, version(connection), [ADD_COLUMN, ADD_TABLE]) == SCHEMA_VERSION + 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, SCHEMA_VERSION, [ADD_COLUMN, BROKEN])
    assert version(connection) == SCHEMA_VERSION + 1
    assert versions(connection) == [SCHEMA_VERSION, SCHEMA_VERSION + 1]
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'shape'").fetchall()
    assert tables == []


def test_an_opening_migrates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path)
    store.begin(KEY, Opening("books", "host:1")).abandon()

    def migrate_further(connection: sqlite3.Connection, version: int) -> int:
        return migrate(connection, version, [ADD_COLUMN])

    monkeypatch.setattr(sqlite_opening, "migrate", migrate_further)
    monkeypatch.setattr(sqlite_opening, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    for _ in range(2):
        job = store.resume(KEY, Opening("books", "host:1"))
        assert job._connection is not None
        assert version(job._connection) == SCHEMA_VERSION + 1
        job.abandon()


def test_the_migrations_of_the_package_set_their_versions() -> None:
    for migration in load_migrations("sqlite"):
        assert f"PRAGMA user_version = {migration.version};" in migration.script


def test_the_schema_sets_the_newest_version() -> None:
    schema = migrations.files("scrapy_resume.store") / "sql" / "sqlite" / "schema.sql"
    assert f"PRAGMA user_version = {SCHEMA_VERSION};" in schema.read_text()


def test_a_gap_between_migrations_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sql" / "sqlite" / "migrations"
    folder.mkdir(parents=True)
    monkeypatch.setattr(migrations, "files", lambda _: tmp_path)
    (folder / "0002_colours.sql").write_text("SELECT 1;")
    (folder / "README").touch()
    assert [migration.version for migration in load_migrations("sqlite")] == [2]
    (folder / "0004_shapes.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match="gap"):
        load_migrations("sqlite")


def test_a_job_from_before_minutes_were_counted_has_none(tmp_path: Path) -> None:
    SqliteStore(tmp_path).begin(KEY, Opening("books", "host:1")).abandon()
    path = tmp_path / "books#1.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE minute")
        connection.execute(f"PRAGMA user_version = {COUNTS_MINUTES - 1}")
    assert SqliteReader(tmp_path).minutes(KEY, 0.0) == []
