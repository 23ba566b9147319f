"""A PgBouncer of the tests' own, in front of their server, if the program is installed."""

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

import pytest

from tests.support.postgres import (
    BECOME,
    HOST,
    SUPERUSER,
    PostgresServer,
    database_of,
    free_port,
    server_account,
)

PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
LIMIT_SECONDS = 20.0
POLL_SECONDS = 0.01

PoolMode = Literal["session", "transaction", "statement"]

SESSIONS = 3
"""Of the server's, that all clients share."""


class PgBouncerUnavailableError(Exception):
    """There is none here; says how to get it."""


class PgBouncer:
    """Between clients and a server, from ``__enter__`` to ``__exit__``."""

    def __init__(self, server: PostgresServer, mode: PoolMode = "transaction") -> None:
        self._server = server
        self._mode = mode
        self._port = 0

    def __enter__(self) -> PgBouncer:
        """Raises ``PgBouncerUnavailableError``."""
        program = shutil.which("pgbouncer", path=PLACES)
        if program is None:
            raise PgBouncerUnavailableError("pgbouncer is not installed (Debian: pgbouncer)")
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
        self._wait_until_ready()
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
                told = (self._folder / "log").read_text(errors="replace")
                assert self._process.poll() is None, f"pgbouncer ended: {told}"
                assert time.monotonic() < deadline, f"pgbouncer does not listen: {told}"
                time.sleep(POLL_SECONDS)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, url: str) -> str:
        """That of the server's database, by way of this."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self._port}/{database_of(url)}"


@contextmanager
def bouncer_or_skip(server: PostgresServer, mode: PoolMode = "transaction") -> Iterator[PgBouncer]:
    """For a test; without the program it is skipped."""
    with ExitStack() as stack:
        try:
            bouncer = stack.enter_context(PgBouncer(server, mode))
        except PgBouncerUnavailableError as error:
            pytest.skip(str(error))
        yield bouncer
