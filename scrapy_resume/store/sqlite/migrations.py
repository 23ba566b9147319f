"""Brings a job's file from an older schema to this package's version."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from scrapy_resume.store.transaction.migrations import Schema
from scrapy_resume.store.transaction.queries import load_queries

SCHEMA: Final = Schema("sqlite")

_SQL: Final = load_queries("sqlite", "migrations.sql")


def record_version(connection: sqlite3.Connection, version: int) -> None:
    """Record, within the transaction at hand, that the schema has this version from now on."""
    connection.execute(_SQL["record_version"], (version, time.time()))


def migrate(connection: sqlite3.Connection, version: int) -> int:
    """Apply the steps that follow ``version``; returns the version that the file has then.

    Only the owner of the job may call it. The scripts set ``PRAGMA user_version`` themselves: it
    belongs to the transaction of the step.
    """
    for migration in SCHEMA.after(version):
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


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one.

    ``sqlite3.Connection.executescript`` commits before it begins, so a script that has to be one
    transaction is executed statement by statement.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip() and not _only_comments(statement):
        raise ValueError(f"the SQL script ends within a statement: {statement.strip()!r}")


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("--") for line in text.splitlines())
