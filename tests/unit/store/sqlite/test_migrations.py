from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Opening
from scrapy_resume.store.sqlite.migrations import SCHEMA, migrate
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction.migrations import Migration
from scrapy_resume.store.transaction.queries import read_sql

KEY = JobKey("books", 1)

ADD_COLUMN = Migration(
    SCHEMA.version + 1,
    f"""
-- What it is for; a semicolon in a comment.
ALTER TABLE job ADD COLUMN colour TEXT NOT NULL DEFAULT 'red;';
UPDATE job SET colour = 'blue';
PRAGMA user_version = {SCHEMA.version + 1};
""",
)
ADD_TABLE = Migration(
    SCHEMA.version + 2,
    f"CREATE TABLE shape (name TEXT);\nPRAGMA user_version = {SCHEMA.version + 2};\n",
)
BROKEN = Migration(
    SCHEMA.version + 2,
    f"CREATE TABLE shape (name TEXT);\nPRAGMA user_version = {SCHEMA.version + 2};\n"
    "INSERT INTO nowhere VALUES (1);\n",
)
FIRST = SCHEMA.version
REAL = list(SCHEMA.migrations)

DIES = """
import os, sys
from pathlib import Path
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Opening
from scrapy_resume.store.sqlite import migrations
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction.migrations import Migration

migrations.SCHEMA.migrations.append(Migration(int(sys.argv[2]), sys.argv[3]))
migrations.record_version = lambda *_: os._exit(9)
SqliteStore(Path(sys.argv[1])).resume(JobKey("books", 1), Opening("books", "host:1"))
"""
"""A start that dies when all statements of a step are executed, and it is not recorded."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    SqliteStore(tmp_path).begin(KEY, Opening("books", "host:1")).abandon()
    connection = sqlite3.connect(tmp_path / "books#1.sqlite3", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def package_has(monkeypatch: pytest.MonkeyPatch) -> object:
    """Gives the package made-up migrations."""
    return lambda *steps: monkeypatch.setattr(SCHEMA, "migrations", [*REAL, *steps])


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def versions(connection: sqlite3.Connection) -> list[int]:
    return [row for (row,) in connection.execute("SELECT version FROM migration ORDER BY version")]


def test_a_new_job_has_the_newest_schema(connection: sqlite3.Connection) -> None:
    assert version(connection) == SCHEMA.version
    assert versions(connection) == [SCHEMA.version]


def test_migrations_and_their_records_are_applied_in_order(
    connection: sqlite3.Connection, package_has
) -> None:
    package_has(ADD_COLUMN, ADD_TABLE)
    assert migrate(connection, FIRST) == FIRST + 2
    assert version(connection) == FIRST + 2
    assert versions(connection) == [FIRST + n for n in range(3)]
    assert connection.execute("SELECT colour FROM job").fetchall() == [("blue",)]


def test_what_was_applied_is_not_applied_again(connection: sqlite3.Connection, package_has) -> None:
    package_has(ADD_COLUMN)
    migrate(connection, FIRST)
    package_has(ADD_COLUMN, ADD_TABLE)
    assert migrate(connection, version(connection)) == FIRST + 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    connection: sqlite3.Connection, package_has
) -> None:
    package_has(ADD_COLUMN, BROKEN)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, FIRST)
    assert version(connection) == FIRST + 1
    assert versions(connection) == [FIRST, FIRST + 1]
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'shape'").fetchall()
    assert tables == []


def test_killed_within_a_migration_the_next_start_applies_it_whole(
    tmp_path: Path, connection: sqlite3.Connection, package_has
) -> None:
    words = [str(tmp_path), str(ADD_COLUMN.version), ADD_COLUMN.script]
    assert subprocess.run([sys.executable, "-c", DIES, *words], check=False).returncode == 9
    assert (version(connection), versions(connection)) == (FIRST, [FIRST])
    package_has(ADD_COLUMN)
    SqliteStore(tmp_path).resume(KEY, Opening("books", "host:1")).abandon()
    assert (version(connection), versions(connection)) == (FIRST + 1, [FIRST, FIRST + 1])
    assert connection.execute("SELECT colour FROM job").fetchall() == [("blue",)]


def test_an_opening_migrates(tmp_path: Path, package_has) -> None:
    store = SqliteStore(tmp_path)
    store.begin(KEY, Opening("books", "host:1")).abandon()
    package_has(ADD_COLUMN)
    for _ in range(2):
        job = store.resume(KEY, Opening("books", "host:1"))
        assert job._connection is not None
        assert version(job._connection) == FIRST + 1
        job.abandon()


def test_the_migrations_of_the_package_set_their_versions() -> None:
    for migration in SCHEMA.migrations:
        assert f"PRAGMA user_version = {migration.version};" in migration.script


def test_the_schema_sets_the_newest_version() -> None:
    assert f"PRAGMA user_version = {SCHEMA.version};" in read_sql("sqlite", "schema.sql")
