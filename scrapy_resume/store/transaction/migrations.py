"""Brings a job's file from an older schema to this version's.

``sql/sqlite/schema.sql`` is the newest schema, for new files. Every change of it comes with
a file ``sql/sqlite/migrations/<version>_<what>.sql`` that makes the same of the version
before; it sets ``PRAGMA user_version`` itself. A migration and its record are one
transaction: it is applied whole, or another start tries again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from scrapy_resume.store.transaction.queries import load_queries, split_statements


class Migration(NamedTuple):
    """One step from the version before."""

    version: int
    """The version that it leads to."""
    script: str


def load_migrations(backend: str) -> list[Migration]:
    """The migrations of a backend, by version; from 2 on, without a gap."""
    folder = files("scrapy_resume.store") / "sql" / backend / "migrations"
    found = [
        Migration(int(entry.name.partition("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name.endswith(".sql")
    ]
    found.sort()
    if [migration.version for migration in found] != list(range(2, len(found) + 2)):
        raise ValueError("the versions of the migrations have a gap or a twin")
    return found


MIGRATIONS: Final = load_migrations("sqlite")

SCHEMA_VERSION: Final = 1 + len(MIGRATIONS)

_SQL: Final = load_queries("sqlite", "migrations.sql")


def record_version(connection: sqlite3.Connection, version: int) -> None:
    """Note within the transaction at hand that the schema has a version from now on."""
    connection.execute(_SQL["record_version"], (version, time.time()))


def migrate(
    connection: sqlite3.Connection, version: int, migrations: Sequence[Migration] = MIGRATIONS
) -> int:
    """Apply what is newer than ``version``; returns the version that the file has then.

    To be called by the job's owner only.
    """
    for migration in migrations:
        if migration.version <= version:
            continue
        connection.execute(_SQL["begin_migration"])
        try:
            for statement in split_statements(migration.script):
                connection.execute(statement)
            record_version(connection, migration.version)
            connection.execute(_SQL["commit_migration"])
        except BaseException:
            if connection.in_transaction:
                connection.execute(_SQL["rollback_migration"])
            raise
        version = migration.version
    return version
