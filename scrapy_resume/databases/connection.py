"""Connections to a database that is a feed, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from scrapy_resume.databases.address import Address
from scrapy_resume.databases.silent_writer import connection_name
from scrapy_resume.errors import (
    ConfigurationError,
    DatabaseFeedError,
    DatabaseUnavailableError,
    message_of,
)
from scrapy_resume.settings.masking import masked_text

BUSY_SECONDS: Final = 5.0
"""How long one statement waits for a lock before the delivery is tried again later."""

CONNECT_SECONDS: Final = 10
LONGEST_MESSAGE: Final = 500

_TEMPORARY_SQLITE: Final = frozenset({3, 5, 6, 8, 10, 13, 14, 15, 17})
"""Primary result codes of SQLite after which the same call may succeed later: PERM, BUSY, LOCKED,
READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, SCHEMA."""

_TEMPORARY_STATES: Final = ("08", "40", "53", "55", "57", "58", "28", "3D", "XX")
"""Classes of SQLSTATE after which the same call may succeed later: connections, conflicts,
resources
(a full disk, too many connections), locks, an operator's intervention, the system; also a role or a
database that is not there yet."""

_CHANGEABLE: Final = ("42501", "25006")
"""A privilege is missing, or the server is read-only: it may be granted, or become the primary."""


DRIVER_ERRORS: Final = (SQLAlchemyError, UnicodeError, OverflowError)
"""What a statement may raise; the last two because of a value, as the driver encodes it."""


class Connection:
    """The one connection of a feed, for one thread. It is made, and made again, when it is
    needed."""

    def __init__(self, address: Address, writer: str) -> None:
        """``writer``: how the server names the connection. Raises ``ConfigurationError`` for a URL
        that cannot be one."""
        self.address = address
        self._engine = _engine(address, writer)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Committed at the end, rolled back on an error.

        Raises ``DatabaseUnavailableError`` if the same may succeed later, ``DatabaseFeedError`` for
        other errors of the database, and ``RowRefusedError`` for those that a row may cause.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except DRIVER_ERRORS as error:
            raise self.translated(error) from error

    def translated(self, error: Exception) -> Exception:
        """What an error means; after some, the next transaction has a new connection."""
        meant = self.meaning(error)
        if isinstance(meant, DatabaseUnavailableError):
            self._engine.dispose()
        return meant

    @staticmethod
    def meaning(error: Exception) -> DatabaseFeedError:
        """What an error means."""
        message = message_in(error)
        if isinstance(error, DBAPIError):
            if error.connection_invalidated or _is_temporary(error):
                return DatabaseUnavailableError(message)
            if _is_of_row(error):
                return RowRefusedError(message)
        elif isinstance(error, sa.exc.StatementError | UnicodeError | OverflowError):
            return RowRefusedError(message)
        return DatabaseFeedError(message)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


class RowRefusedError(DatabaseFeedError):
    """The database refuses a row, or a value of it."""


class MadeByOthersError(DatabaseFeedError):
    """What was to be made, a table or a column, is there: another feed has made it since the table
    was read. Read again, the same may succeed."""


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error of PostgreSQL."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def message_in(error: BaseException) -> str:
    """What the driver says, on one line, without passwords."""
    cause = getattr(error, "orig", None) or error
    text = " ".join(masked_text(message_of(cause)).split())
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def _engine(address: Address, writer: str) -> sa.Engine:
    try:
        return _sqlite(address) if address.dialect == "sqlite" else _postgres(address, writer)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            f"the feed {address.shown} is no URI of a database ({type(error).__name__}): use"
            " sqlite:///shop.db#table or postgresql://user@host/database#table"
        ) from error
    except ImportError as error:
        raise ConfigurationError(needs_extra(address.shown, str(error))) from error


def needs_extra(shown: str, error: str) -> str:
    """What to install."""
    return (
        f"the feed {shown} needs SQLAlchemy, and psycopg for PostgreSQL ({error}):"
        ' pip install "scrapy-resume[sql]"'
    )


def _as_is(text: Any) -> Any:
    """JSON is text before it is bound."""
    return text


def _sqlite(address: Address) -> sa.Engine:
    url = sa.URL.create("sqlite", database=address.url.removeprefix("sqlite:///"))
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url,
        poolclass=StaticPool,
        json_serializer=_as_is,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # The driver's own transactions begin late, and end before DDL.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgres(address: Address, writer: str) -> sa.Engine:
    engine = sa.create_engine(
        address.url,
        poolclass=sa.pool.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        json_serializer=_as_is,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": connection_name(writer),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    )

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}")

    return engine


def _is_temporary(error: DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None:  # Python 3.10
            return "locked" in str(cause) or "full" in str(cause) or "unable to open" in str(cause)
        return code & 0xFF in _TEMPORARY_SQLITE
    state = state_of(error)
    if state is None:
        return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return bool(state.startswith(_TEMPORARY_STATES) or state in _CHANGEABLE)


def _is_of_row(error: DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        # 18: too big, 19: a constraint, 20: a mismatch; no code: the driver refuses a value.
        return code is None or code & 0xFF in (18, 19, 20)
    state = state_of(error)
    if state is None:
        return isinstance(error, sa.exc.DataError)
    # 21: keys that only the database takes for equal, in one statement; 22: data; 23: constraints;
    # 54: limits, such as that of an index's rows; 42804: types.
    return state.startswith(("21", "22", "23", "54")) or state in ("42804", "42883", "0A000")
