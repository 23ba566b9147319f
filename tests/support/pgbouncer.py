"""A PgBouncer of the tests' own in front of their server; the program has to be installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from tests.support.postgres import (
    BECOME,
    HOST,
    SUPERUSER,
    PostgresServer,
    database_of,
    free_port,
    load,
    server_account,
)
from tests.support.skips import not_started

PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.01

PoolMode = Literal["session", "transaction", "statement"]

SESSIONS = 3
"""Connections to the server, which all clients share."""


class PgBouncerUnavailableError(Exception):
    """It cannot be run here; the message says why, and how to have it."""


class PgBouncer:
    """A pooler between clients and a server, which runs from ``__enter__`` to ``__exit__``."""

    def __init__(self, server: PostgresServer, mode: PoolMode = "transaction") -> None:
        self._server = server
        self._mode = mode
        self._port = 0

    def __enter__(self) -> PgBouncer:
        """Raises ``PgBouncerUnavailableError``."""
        program = shutil.which("pgbouncer", path=PLACES)
        if program is None:
            raise PgBouncerUnavailableError(
                "it is not installed (Debian: apt-get install pgbouncer)"
            )
        user, group = server_account()
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="scrapy-resume-bouncer-"))
        self._folder.chmod(0o755)
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(self._settings())
        words = [sys.executable, "-IS", "-c", BECOME, str(user), str(group), program]
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [*words, str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _settings(self) -> str:
        return f"""
[databases]
* = host={HOST} port={self._server.port} user={SUPERUSER}
[pgbouncer]
listen_addr = {HOST}
listen_port = {self._port}
unix_socket_dir =
auth_type = any
pool_mode = {self._mode}
default_pool_size = {SESSIONS}
max_client_conn = 200
server_login_retry = 1
"""

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                socket.create_connection((HOST, self._port), 1).close()
            except OSError:
                self._check(deadline)
                time.sleep(POLL_SECONDS)
            else:
                return

    def _check(self, deadline: float) -> None:
        """Raises ``PgBouncerUnavailableError`` if it will not listen any more."""
        code, log = self._process.poll(), (self._folder / "log").read_text(errors="replace")
        if code is not None:
            raise PgBouncerUnavailableError(f"it ended with exit code {code}; its log:\n{log}")
        if time.monotonic() > deadline:
            raise PgBouncerUnavailableError(
                f"it did not listen in {LIMIT_SECONDS:.0f} s{load()}; its log:\n{log}"
            )

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, url: str) -> str:
        """The URL of a database of the server, by way of this pooler."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self._port}/{database_of(url)}"


@contextmanager
def pgbouncer(server: PostgresServer, mode: PoolMode = "transaction") -> Iterator[PgBouncer]:
    """For a test, which ends with ``not_started`` if there is no PgBouncer."""
    with ExitStack() as stack:
        try:
            bouncer = stack.enter_context(PgBouncer(server, mode))
        except PgBouncerUnavailableError as error:
            not_started("PgBouncer", error)
        yield bouncer
