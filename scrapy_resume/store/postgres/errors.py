"""Translates errors of PostgreSQL and its driver into ``StoreError``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg

from scrapy_resume.errors import (
    ConfigurationError,
    ResumeError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)

PREPARED: Final = (pg.InvalidSqlStatementName, pg.DuplicatePreparedStatement)
"""The errors of statements that were prepared in one session and executed in another, as behind
PgBouncer in transaction mode."""

_PASSING: Final = (
    psycopg.InterfaceError,
    psycopg.OperationalError,  # the classes 08, 40, 53, 55, 57 and 58 among others
    pg.ReadOnlySqlTransaction,  # the old primary, after a failover
    pg.IdleInTransactionSessionTimeout,  # the process stood still, see Link
    *PREPARED,
)
_ACCESS: Final = (
    pg.InvalidAuthorizationSpecification,
    pg.InvalidPassword,
    pg.InvalidCatalogName,
    pg.InsufficientPrivilege,
)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise the driver's errors as ``StoreError``; ``place`` names the database."""
    try:
        yield
    except ResumeError:
        raise
    except psycopg.Error as error:
        raise store_error(error, place) from error


def store_error(error: psycopg.Error, place: str) -> ResumeError:
    """The error to raise ``from`` the driver's own."""
    text = _told(error)
    if isinstance(error, pg.ProtocolViolation) and "statement pooling" in text:
        return ConfigurationError(
            f"{place} is reached through a pooler without transactions ({text}). Set PgBouncer's "
            "pool_mode to transaction or session."
        )
    if isinstance(error, (pg.InsufficientPrivilege, pg.InvalidSchemaName)):
        return ConfigurationError(
            f"{place}: {text}. The role needs CREATE on the database once, for the schema "
            "scrapy_resume, and USAGE on it from then on; docs/postgres.md has the statements."
        )
    if isinstance(error, _ACCESS):
        return ConfigurationError(
            f"{place}: {text}. Correct RESUME_STORE, or create the role and the database."
        )
    if isinstance(error, (pg.DiskFull, pg.OutOfMemory)):
        return StoreUnavailableError(f"{place}: {text}; make room on the server")
    if isinstance(error, (pg.DataCorrupted, pg.IndexCorrupted)):
        return StoreDamagedError(f"{place} is damaged: {text}; restore it from a backup")
    if isinstance(error, _PASSING):
        return StoreUnavailableError(f"{place}: {text}")
    return StoreError(f"{place}: PostgreSQL refused a statement ({text}); please report this")


def _told(error: psycopg.Error) -> str:
    """The message of the server or the driver, in one line."""
    said = error.diag.message_primary or str(error)
    return " ".join(said.split()) or type(error).__name__
