"""Several workers on one job: one of them writes the table, and another takes its place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.feeds.runs import Crawl
from tests.support.launcher import Launcher
from tests.support.site import REPO

from .shelf import Shelf

LIMIT_SECONDS = 90.0


class Worker(Crawl):
    """One of a fleet: the store is named."""

    store = ""

    def words(self, *, plain: bool) -> list[str]:
        words = super().words(plain=plain)
        return [f"RESUME_STORE={self.store}" if w.startswith("RESUME_STORE=") else w for w in words]

    def begin(self, number: int) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"worker-{number}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "scrapy", *self.words(plain=False)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(REPO)},
                stdout=log,
                stderr=log,
            )


def writer_of(shelf: Shelf, rows: int, but: Collection[int] = ()) -> int:
    """The process that writes, once so many rows are there; another one than those."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        if sum(shelf.items().values()) >= rows:
            ((writer,),) = shelf.execute("SELECT writer FROM scrapy_resume_feed")
            pid = int(writer.rpartition(":")[2] or 0)
            if pid and pid not in but:
                return pid
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.soak  # three processes that start anew: half a minute
@pytest.mark.parametrize("key", [None, "page,place"])
@pytest.mark.parametrize(
    "ends", [[signal.SIGKILL], [signal.SIGSTOP], [signal.SIGKILL, signal.SIGSTOP]]
)
def test_writers_of_a_fleet_end_and_each_item_is_one_row(
    launcher: Launcher,
    postgres_server: Any,
    tmp_path: Path,
    whole: Counter[str],
    ends: list[signal.Signals],
    key: str | None,
) -> None:
    store, target = postgres_server.new_database(), postgres_server.new_database()
    with Shelf(target) as shelf:
        worker = Worker(
            tmp_path / "crawl",
            launcher,
            feed=shelf.uri(),
            options={"format": "sql", "batch_size": 5, "primary_key": key and key.split(",")},
            settings={
                "RESUME_ORPHAN_TIMEOUT": 3,
                "RESUME_HEARTBEAT": 0.5,
                "RESUME_HOSTS": "shared",
                "CONCURRENT_REQUESTS": 2,
                # Slow enough that one is still at work when the lease of the other is over.
                "DOWNLOAD_DELAY": 0.5 * len(ends),
            },
            arguments={"pause_seconds": 0.7},
        )
        worker.store = store
        gone: list[int] = []
        workers = [worker.begin(number) for number in range(3)]
        try:
            for end in ends:
                gone.append(writer_of(shelf, 10, gone))
                os.kill(gone[-1], end)
            for number, other in enumerate(workers):
                if other.pid not in gone:
                    log = worker.folder / f"worker-{number}.log"
                    assert other.wait(LIMIT_SECONDS) == 0, log.read_text()[-4000:]
            assert shelf.items() == whole
            for other in workers:
                other.send_signal(signal.SIGCONT)
                other.wait(LIMIT_SECONDS)
        finally:
            for one in workers:
                one.kill()
                one.wait()
        assert shelf.items() == whole
