"""Does each worker of a fleet get its share? Chains of pages, in which little is open at a time.

    python benchmarks/shared_work.py --rounds 3
    python benchmarks/shared_work.py --cases "12 chains" --workers 2 4 8

Each page leads to the next one of its chain, so the open requests are no more than the chains, and
a worker that holds some of them without sending them keeps others idle. The site answers after
200 ms. Measured is the time from the site's first to its last hit, against the ideal one: all pages
times the latency, divided by the requests that the workers may send at a time (for exclusive hosts,
those that one worker may send). The workers are started at the same moment, and the time begins
with the first hit: what the last one takes to start counts. ``released``: leased requests that went
back unsent, so that another worker could have them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
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

LATENCY_SECONDS = 0.2
LIMIT_SECONDS = 300.0
RELEASED = "resume/released_unsent"
HEADINGS = ("case", "workers", "pages by worker", "seconds", "ideal", "ratio", "released")


@dataclass(frozen=True)
class Case:
    """A site, and how each worker crawls it."""

    name: str
    graph: HostGraph
    hosts: str = "shared"
    concurrency: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def ideal_seconds(self, workers: int) -> float:
        graph = self.graph
        if self.hosts == "exclusive":
            by_host = Counter(graph.host_of(page) for page in range(graph.pages))
            return max(by_host.values()) * LATENCY_SECONDS / self.concurrency
        return graph.pages * LATENCY_SECONDS / (workers * self.concurrency)


def chains(count: int, pages: int, hosts: int = 1) -> HostGraph:
    return HostGraph(hosts, pages, links="chain", chains=count)


ONE_OF_EACH_HOST = {"CONCURRENT_REQUESTS": 16, "CONCURRENT_REQUESTS_PER_DOMAIN": 1}
HALF_A_SECOND = {"CONCURRENT_REQUESTS": 8, "DOWNLOAD_DELAY": 0.5}
BY_PRIORITY = {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"}

CASES = [
    Case("12 chains", chains(12, 144)),
    Case("24 chains, two at a time", chains(24, 288), concurrency=2),
    Case("3 hosts, exclusive", chains(12, 144, hosts=3), "exclusive"),
    Case("3 hosts, shared", chains(12, 144, hosts=3)),
    Case("one at a time of each host", chains(12, 144), settings=ONE_OF_EACH_HOST),
    Case("by priority first", chains(12, 144), settings=BY_PRIORITY),
    Case("a tree", HostGraph(1, 144)),
    Case("a tree, eight at a time", HostGraph(1, 1_200), concurrency=8),
    Case("each host every half second", chains(12, 48, hosts=3), settings=HALF_A_SECOND),
]


class Course:
    """Crawls of the cases by fleets of different sizes."""

    def __init__(self, server: PostgresServer, launcher: FleetLauncher) -> None:
        self._server = server
        self._launcher = launcher

    def crawl(self, folder: Path, case: Case, workers: int) -> tuple[list[int], float, int]:
        """(pages by worker, seconds from the first to the last hit, requests released unsent)."""
        url = self._server.new_database()
        settings = {
            "CONCURRENT_REQUESTS": case.concurrency,
            "DOWNLOADER": "scrapy.core.downloader.Downloader",
            "RESUME_HOSTS": case.hosts,
            **case.settings,
        }
        starts = case.graph.chains if case.graph.links == "chain" else 1
        arguments = {"starts": starts}
        with ExitStack() as stack:
            site = HostsSite(folder, case.graph, latency_seconds=LATENCY_SECONDS)
            stack.enter_context(site)
            fleet = Fleet(url, site, folder, self._launcher, settings, arguments)
            stack.enter_context(fleet)
            fleet.start(workers)
            fleet.expect_success(LIMIT_SECONDS)
            fleet.expect_completed()
            found = fleet.verdict()
            if not found.is_clean:
                raise SystemExit(f"the crawl went wrong: {found}")
            hits = fleet.hits()
        shares = Counter({worker.name: 0 for worker in fleet.workers})
        shares.update(hit.worker for hit in hits)
        asked = sorted(hit.asked_at for hit in hits)
        released = self._released(url)
        self._server.drop_database(url)
        return sorted(shares.values(), reverse=True), asked[-1] - asked[0], released

    def _released(self, url: str) -> int:
        rows = self._server.query("SELECT stats FROM scrapy_resume.run", database=database_of(url))
        return sum(json.loads(stats or "{}").get(RELEASED, 0) for (stats,) in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[3])
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each case, in turn")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="CASE")
    options = parser.parse_args()
    chosen = [case for case in CASES if case.name in options.cases]
    before = load()
    rows = []
    with PostgresServer() as server, FleetLauncher() as launcher:
        course = Course(server, launcher)
        for case in chosen:
            for workers in options.workers:
                found = []
                for _ in range(options.rounds):
                    with tempfile.TemporaryDirectory() as folder:
                        found.append(course.crawl(Path(folder), case, workers))
                    print(case.name, workers, *found[-1], load(), file=sys.stderr, flush=True)
                rows.append(row(case, workers, found))
    print(table(HEADINGS, rows))
    print(f"{options.rounds} crawls each: shares of the slowest, seconds: median to most")
    print(f"{before} before, {load()} after")


def row(case: Case, workers: int, found: list[tuple[list[int], float, int]]) -> list[str]:
    times = [seconds for _, seconds, _ in found]
    ideal = case.ideal_seconds(workers)
    shares, slowest, _ = max(found, key=lambda crawl: crawl[1])
    return [
        case.name,
        str(workers),
        ", ".join(map(str, shares)),
        f"{median(times):.1f} to {slowest:.1f}",
        f"{ideal:.1f}",
        f"{median(times) / ideal:.2f} to {slowest / ideal:.2f}",
        f"{median(released for _, _, released in found):.0f}",
    ]


if __name__ == "__main__":
    main()
