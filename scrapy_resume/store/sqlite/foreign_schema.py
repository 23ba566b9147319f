"""Refuses a job's file that has more in its schema than this package creates.

A file may have been written by somebody else. A trigger in it would run with each commit, a view
in place of a table would answer what it likes, a virtual table would call code of its module.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.store.sqlite.migrations import SCHEMA, split_statements
from scrapy_resume.store.transaction.migrations import Migration
from scrapy_resume.store.transaction.queries import load_queries, read_sql

_SQL: Final = load_queries("sqlite", "files.sql")

_INTERNAL: Final = re.compile(r"sqlite_(autoindex_\w+|sequence|stat[134])")
"""What SQLite adds by itself."""

_COMPUTES: Final = re.compile(r"(?i)\b(AS|CHECK|COLLATE|GENERATED|REFERENCES|VIRTUAL)\b|DEFAULT \(")
"""What a definition of a table has that calls something, or changes other rows."""

_OWN_CHECK: Final = "CHECK (one = 1)"


class ForeignSchemaError(StoreDamagedError):
    """Somebody else has put something into the schema of a job's file."""


def refuse_foreign_schema(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise ``ForeignSchemaError`` for a trigger, a virtual table, a table that computes something,
    anything of a foreign name, and, in a file of this package's version, a view or an index that
    is not as the package makes it."""
    own = _own_schema(tuple(SCHEMA.migrations))
    for kind, name, text in connection.execute(_SQL["schema"]):
        if kind in ("table", "index") and _INTERNAL.fullmatch(name):
            continue
        definition, (own_kind, own_definition) = _plain(text), own.get(name, ("", ""))
        is_own = own_kind == kind and (
            not _COMPUTES.search(definition.replace(_OWN_CHECK, ""))
            if kind == "table"
            else version != SCHEMA.version or definition == own_definition
        )
        if not is_own:
            raise ForeignSchemaError(
                f"{path} has a {kind} {name!r} that scrapy-resume did not create so: somebody else "
                "has written to the file. Nothing was changed; restore it from a backup, or, if "
                "it was you, undo it in the `sqlite3` shell"
            )


@lru_cache(maxsize=4)
def _own_schema(migrations: tuple[Migration, ...]) -> dict[str, tuple[str, str]]:
    """Name → (kind, definition) of all that the package creates."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in split_statements(read_sql("sqlite", "schema.sql")):
            connection.execute(statement)
        ((version,),) = connection.execute(_SQL["schema_version"]).fetchall()
        for migration in migrations:
            if migration.version > version:
                _try(connection, migration)
        rows = connection.execute(_SQL["schema"]).fetchall()
    return {name: (kind, _plain(text)) for kind, name, text in rows}


def _try(connection: sqlite3.Connection, migration: Migration) -> None:
    """Apply a step as far as it goes: one that fails is reported when a job's file is migrated."""
    try:
        for statement in split_statements(migration.script):
            connection.execute(statement)
    except sqlite3.Error:
        return


@lru_cache(maxsize=512)
def _plain(text: str | None) -> str:
    """A definition without comments and line breaks."""
    return " ".join(re.sub(r"--[^\n]*", "", text or "").split())
