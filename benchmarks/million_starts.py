"""Very many start requests, and a store that does not answer for a while: memory stays flat.

    python benchmarks/million_starts.py --requests 1000000 --outage 30

A spider yields so many start requests, of which few are fetched. When half of them are
admitted, this process takes the write lock of the job's file and keeps it; the crawl has to
wait, and to go on. Then the same command again: now the store knows every one of them. The
resident size is read once a second.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, ended, load, started, tail_of
from benchmarks.support.site import REPO, FastSite
from scrapy_resume import open_store
from tests.support.many_starts import THE_END, progress_of
from tests.support.tables import table

SPIDER = REPO / "tests" / "support" / "many_starts.py"
HEADINGS = ("resident size, MB", "first", "largest", "last", "seconds", "start() had yielded")
SAMPLE_SECONDS = 1.0
LIMIT_SECONDS = 1_200.0
"""A phase that takes longer hangs."""
WARM = 10_000
"""Requests yielded when the measurement begins: everything is imported, caches are filled."""


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Watched:
    """A crawl under way, and the resident sizes of its phases."""

    process: subprocess.Popen[bytes]
    log: Path
    rows: list[list[str]] = field(default_factory=list)

    def yielded(self) -> int:
        steps = progress_of(self.log.read_text())
        return steps[-1].yielded if steps else 0

    def at_end(self) -> bool:
        return THE_END in self.log.read_text()

    def phase(self, name: str, is_over: Callable[[], bool]) -> None:
        """Samples until the phase is over, and adds its row."""
        began = time.monotonic()
        sizes = []
        while True:
            late = time.monotonic() - began > LIMIT_SECONDS
            if late or self.process.poll() is not None:
                raise SystemExit(
                    f"{name}: the crawl ended, or hangs:\n{tail_of(self.log.read_text())}"
                )
            sizes.append(resident_bytes(self.process.pid))
            if is_over():
                break
            time.sleep(SAMPLE_SECONDS)
        cells = [f"{size / 1e6:.1f}" for size in (sizes[0], max(sizes), sizes[-1])]
        seconds = f"{time.monotonic() - began:.0f}"
        self.rows.append([name, *cells, seconds, f"{self.yielded():,}"])

    def outage(self, store: Path, seconds: float) -> None:
        """Another process has the job's file, and does not let go of it."""
        with locked(next(store.glob("*.sqlite3"))):
            until = time.monotonic() + seconds
            self.phase(f"{seconds:g} s without store", lambda: time.monotonic() >= until)

    def stop(self) -> Cost:
        self.process.send_signal(signal.SIGTERM)
        return ended(self.process, self.log)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@dataclass(frozen=True)
class Plan:
    """What is asked of a run."""

    requests: int
    outage_seconds: float
    kind: str


def run(plan: Plan, site: FastSite, folder: Path, name: str, *, outage: bool) -> list[list[str]]:
    store = folder / "store"
    words = [sys.executable, "-m", "scrapy", "runspider", str(SPIDER)]
    words += ["-a", f"site={site.url}", "-a", f"count={plan.requests}", "-a", f"kind={plan.kind}"]
    words += ["-s", f"RESUME_STORE={store}"]
    log = folder / f"{name}.log"
    watched = Watched(started(words, log, plain=False), log)
    try:
        watched.phase(f"{name}: to the first {WARM:,}", lambda: watched.yielded() >= WARM)
        if outage:
            half = plan.requests // 2
            watched.phase(f"{name}: to the outage", lambda: watched.yielded() >= half)
            watched.outage(store, plan.outage_seconds)
        watched.phase(f"{name}: to the end", watched.at_end)
        cost = watched.stop()
    finally:
        watched.process.kill()
    known = cost.stat("resume/start/known")
    if not outage and known != plan.requests:
        raise SystemExit(f"{known:.0f} start requests were known, of {plan.requests}")
    [job] = open_store(str(store)).jobs()
    if job["requests"]["total"] != plan.requests:
        raise SystemExit(f"the store has {job['requests']['total']} of {plan.requests}")
    return watched.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="start requests")
    parser.add_argument("--outage", type=float, default=30.0, help="seconds without a store")
    kinds = ["ordinary", "dont_filter", "both"]
    parser.add_argument("--kind", choices=kinds, default="both", help="which requests")
    options = parser.parse_args()
    plan = Plan(options.requests, options.outage, options.kind)
    before = load()
    with tempfile.TemporaryDirectory() as name, FastSite(latency=1.0) as site:
        folder = Path(name)
        rows = run(plan, site, folder, "new", outage=True)
        rows += run(plan, site, folder, "resumed", outage=False)
    print(table(HEADINGS, rows))
    print(f"{plan.requests:,} requests in the store, each once; {before} before, {load()} after")


if __name__ == "__main__":
    main()
