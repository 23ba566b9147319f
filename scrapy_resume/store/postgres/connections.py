"""Connections to one database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection, IsolationLevel, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from scrapy_resume.errors import ConfigurationError, LeaseLostError
from scrapy_resume.store.postgres.errors import PREPARED, translated

CONNECT_SECONDS: Final = 10
"""Timeout of opening a connection."""

PREPARE_AFTER: Final = 3
"""Executions of a statement on a connection after which it is prepared there."""

_DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "scrapy-resume",
    "connect_timeout": CONNECT_SECONDS,
    # A server that vanishes without closing its connections is noticed before its workers count
    # as dead.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_NO_URL: Final = (
    "RESUME_STORE is no URL of a database. It looks like "
    "postgresql://user:password@host:5432/database?sslmode=require; in a password, "
    "@ : / ? # and % are written as %40 %3A %2F %3F %23 and %25"
)


class Link:
    """A database, and its open connections, which are reused from transaction to transaction.

    It is no pool with threads of its own: a run has two threads that call the store, and a
    connection that cannot be opened raises its error in the call that needs it.
    """

    def __init__(self, url: str, still_seconds: float | None = None) -> None:
        """``still_seconds``: the server ends a session that is idle for so long in a transaction
        (the process or its machine was stopped), because its locks would keep other workers
        from taking over. ``None``: no limit."""
        self._stand_still: str | None = None
        """Set in each transaction anew: behind a pooler the next transaction may get another
        session, and this session another client."""
        if still_seconds is not None:
            milliseconds = max(1, int(still_seconds * 1_000))
            self._stand_still = f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
        given = parameters(url)
        self.place = shown(given)
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **given})
        self._prepare_after: int | None = PREPARE_AFTER
        self._idle: list[Connection[Any]] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A transaction on a connection that is reused later. Raises ``StoreError``."""
        with translated(self.place):
            connection = self._take()
            try:
                with connection.transaction():
                    if self._stand_still is not None:
                        connection.execute(self._stand_still)
                    yield connection
            except PREPARED:
                # A pooler has assigned another session to this connection.
                self._prepare_after = None
                connection.close()
                raise
            except (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout):
                connection.close()
                raise
            finally:
                self._give_back(connection)

    @contextmanager
    def alone(self) -> Iterator[Connection[Any]]:
        """A connection that is closed at the end. Raises ``StoreError``."""
        with translated(self.place), self._connect(prepare_after=None) as connection:
            yield connection

    def _connect(self, prepare_after: int | None) -> Connection[Any]:
        connection = psycopg.connect(
            self._conninfo, autocommit=True, prepare_threshold=prepare_after
        )
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        if _is_dealt_out(connection):
            connection.prepare_threshold = None
        return connection

    def _take(self) -> Connection[Any]:
        with self._lock:
            if self._closed:
                raise LeaseLostError(f"this run has closed its job in {self.place} already")
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        return self._connect(self._prepare_after)

    def _give_back(self, connection: Connection[Any]) -> None:
        with self._lock:
            if not (self._closed or connection.closed):
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the connections; those in use are closed when their transactions end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _is_dealt_out(connection: Connection[Any]) -> bool:
    """Whether a pooler (PgBouncer) assigns sessions of the server to this connection.

    A statement that was prepared in one session is unknown in the next; or worse, the next session
    has another client's statement of that name, and runs it. It shows in the pid: the one that the
    client got at connecting is not the session's.
    """
    ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid != connection.info.backend_pid)


def parameters(url: str) -> dict[str, Any]:
    """The parameters of a connection, out of a URL.

    Raises ``ConfigurationError``, which repeats nothing of the URL: where it was written wrong, a
    part of the password may be anywhere in it.
    """
    try:
        given = {key: value for key, value in conninfo_to_dict(url).items() if value}
    except psycopg.Error:
        # The driver's own message repeats what it did not understand: from None.
        raise ConfigurationError(_NO_URL) from None
    ports = str(given.get("port", "0")).split(",")
    names = f"{given.get('host', '')}{given.get('dbname', '')}"
    if "@" in names or not all(port.isdecimal() for port in ports):
        raise ConfigurationError(_NO_URL)
    return given


def shown(given: Mapping[str, Any]) -> str:
    """The name of the database in messages: without user, password and parameters."""
    port = f":{given['port']}" if given.get("port") else ""
    host = str(given.get("host") or given.get("hostaddr") or "local")
    return f"the database {given.get('dbname') or '(default)'} on {host}{port}"
