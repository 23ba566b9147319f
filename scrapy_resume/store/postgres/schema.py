"""The schema: created on first use, migrated to this version, safe when many start at once."""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection

from scrapy_resume.errors import ConfigurationError, SchemaTooNewError
from scrapy_resume.store.postgres.statements import OPENING
from scrapy_resume.store.transaction.migrations import Schema
from scrapy_resume.store.transaction.queries import read_sql

SCHEMA: Final = Schema("postgres")


def version_of(connection: Connection[Any], place: str) -> int:
    """The version of the database's schema; 0: there is none.

    Raises ``SchemaTooNewError``.
    """
    if not connection.execute(OPENING["has_schema"]).fetchall()[0][0]:
        return 0
    version = int(connection.execute(OPENING["schema_version"]).fetchall()[0][0])
    if version > SCHEMA.version:
        raise SchemaTooNewError(
            f"{place} was set up by a newer version of scrapy-resume (its schema has version "
            f"{version}, this one knows {SCHEMA.version}): upgrade scrapy-resume"
        )
    return version


def ensure_schema(connection: Connection[Any], place: str) -> None:
    """Create the schema, or apply newer migrations: in one transaction, one process at a time."""
    if version_of(connection, place) == SCHEMA.version:
        return
    with connection.transaction():
        connection.execute(OPENING["lock_schema"])
        version = version_of(connection, place)
        if version == 0:
            connection.execute(read_sql("postgres", "schema.sql"))
            connection.execute(OPENING["record_version"], {"version": SCHEMA.version})
        elif version < SCHEMA.version:
            _check_nobody_works(connection, place)
            _migrate(connection, version)


def _migrate(connection: Connection[Any], version: int) -> None:
    for migration in SCHEMA.after(version):
        connection.execute(migration.script)
        connection.execute(OPENING["record_version"], {"version": migration.version})


def _check_nobody_works(connection: Connection[Any], place: str) -> None:
    """Raises ``ConfigurationError`` if workers of an older version are alive: they do not keep
    what a newer version relies on."""
    rows = connection.execute(OPENING["workers"]).fetchall()
    if rows:
        raise ConfigurationError(
            f"{place} was set up by an older version of scrapy-resume, of which workers are at "
            f"work: {', '.join(worker for (worker,) in rows)}. Stop them, then start again: it "
            "brings the database to this version."
        )
