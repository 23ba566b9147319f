"""Pages a second of a fleet where latency is the limit: one worker, two, four.

    python benchmarks/workers.py --workers 1 2 4 --pages 3000 --rounds 3

A site of 200 hosts answers after 500 ms; each worker has 16 requests at a time. The workers of a
round begin when all are on the job; the time is that between the site's first and last answer, but
for the tenth of the pages at each end, in which there is too little to do for all. The server
(PostgreSQL, brought along), the site and all workers are on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import load
from tests.support.fleet import Fleet
from tests.support.fleet_launcher import FleetLauncher
from tests.support.hosts_graph import HostGraph
from tests.support.hosts_site import HostsSite
from tests.support.postgres import PostgresServer, database_of
from tests.support.tables import table

HOSTS = 200
LATENCY_SECONDS = 0.5
SETTINGS: dict[str, Any] = {
    "CONCURRENT_REQUESTS": 16,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    "RESUME_ORPHAN_TIMEOUT": 30,
    "RESUME_HEARTBEAT": 10,
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
}
EDGE = 0.1
"""The part of the pages at each end that is not counted."""

LIMIT_SECONDS = 900.0
HEADINGS = ("workers", "pages a second, best", "median", "of one worker", "bytes a page")


class Course:
    """Crawls of the same site by fleets of different sizes."""

    def __init__(self, server: PostgresServer, launcher: FleetLauncher) -> None:
        self._server = server
        self._launcher = launcher

    def crawl(self, folder: Path, workers: int, pages: int) -> tuple[float, float]:
        """(pages a second, bytes of the database a page) of a whole crawl."""
        url = self._server.new_database()
        name = database_of(url)
        empty = self._size(name)
        graph = HostGraph(HOSTS, pages)
        with ExitStack() as stack:
            site = stack.enter_context(HostsSite(folder, graph, latency_seconds=LATENCY_SECONDS))
            fleet = stack.enter_context(Fleet(url, site, folder, self._launcher, SETTINGS))
            fleet.start_together(workers)
            fleet.expect_success(LIMIT_SECONDS)
            fleet.expect_completed()
            found = fleet.verdict()
            if not found.is_clean:
                raise SystemExit(f"the crawl went wrong: {found}")
            answers = sorted(hit.answered_at for hit in fleet.hits() if hit.answered_at)
        first, last = int(EDGE * pages), int((1 - EDGE) * pages)
        grown = self._size(name) - empty
        self._server.drop_database(url)
        return (last - first) / (answers[last] - answers[first]), grown / pages

    def _size(self, name: str) -> int:
        return int(self._server.query("SELECT pg_database_size(%s)", (name,))[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pages", type=int, default=3_000, help="pages of the site")
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each size, in turn")
    options = parser.parse_args()
    before = load()
    rates: dict[int, list[float]] = {workers: [] for workers in options.workers}
    sizes: dict[int, float] = {}
    with PostgresServer() as server, FleetLauncher() as launcher:
        course = Course(server, launcher)
        for number in range(options.rounds):
            for workers in rates:
                with tempfile.TemporaryDirectory() as folder:
                    rate, size = course.crawl(Path(folder), workers, options.pages)
                rates[workers].append(rate)
                sizes[workers] = size
                told = f"round {number + 1}, {workers} workers: {rate:.1f} pages a second; {load()}"
                print(told, file=sys.stderr, flush=True)
    one = rates[options.workers[0]]
    rows = [
        [
            str(workers),
            f"{max(found):.1f}",
            f"{median(found):.1f}",
            f"{max(found) / max(one):.2f} to {median(found) / median(one):.2f}",
            f"{sizes[workers]:,.0f}",
        ]
        for workers, found in rates.items()
    ]
    print(table(HEADINGS, rows))
    print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
