"""Connections to one database, and what is the same for all of them."""

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
"""How long a connection is waited for."""

PREPARE_AFTER: Final = 3
"""Executions of a statement on a connection after which it is prepared there."""

_DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "scrapy-resume",
    "connect_timeout": CONNECT_SECONDS,
    # A server that is gone without a word is noticed before its workers count as dead.
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
    """A database. A connection is taken for a transaction, given back, and used again.

    No pool: a run has two threads that call the store, each finds its connection here; and a
    connection that is opened by the call that needs it says why it cannot be.
    """

    def __init__(self, url: str, still_seconds: float | None = None) -> None:
        """``still_seconds``: a process that stands still for so long within a transaction (it
        was stopped, or its machine) is cut off by the server: what it has locked would keep
        the others from taking over. ``None``: it may."""
        self._stand_still: str | None = None
        """Said in each transaction anew: between here and the server the next one may be given
        another session, and whatever stays in this one somebody else is given."""
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
        """A transaction on a connection that is kept. Raises ``StoreError``."""
        with translated(self.place):
            connection = self._take()
            try:
                with connection.transaction():
                    if self._stand_still is not None:
                        connection.execute(self._stand_still)
                    yield connection
            except PREPARED:
                # Something between here and the server deals out its connections anew.
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
        """A connection of one's own, closed at the end. Raises ``StoreError``."""
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
                raise LeaseLostError(f"this run has given its job in {self.place} up")
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
        """Close the connections; those that are in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _is_dealt_out(connection: Connection[Any]) -> bool:
    """Whether something between here and the server (PgBouncer) deals its sessions out.

    A statement that is prepared in one of them is unknown in the next; or worse, the next one
    knows another statement by that name, prepared for somebody else, and runs it. It shows in
    the pid: the one that the client was told is not the session's.
    """
    ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid != connection.info.backend_pid)


def parameters(url: str) -> dict[str, Any]:
    """What a URL says of a connection.

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
    """The database as messages name it: without user, password and parameters."""
    port = f":{given['port']}" if given.get("port") else ""
    host = str(given.get("host") or given.get("hostaddr") or "local")
    return f"the database {given.get('dbname') or '(default)'} on {host}{port}"
