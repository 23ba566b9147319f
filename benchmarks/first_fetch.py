"""The time from the start of a process to the first request that reaches the site.

    python benchmarks/first_fetch.py --seen 1000000 --pending 100000 --slots 20000

Two jobs are written first, as crawls that died would have left them: one of that size, and
one whose waiting requests belong to very many download slots, as in a broad crawl. Then, in
turn: plain Scrapy and the add-on with a new job, for comparison; the large job, resumed; the
large job, resumed when its file is not in the system's cache; the broad job, resumed. Each
is ended with SIGKILL at its first fetch, so that each resumption is one after a crash.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.hits import HitLog
from benchmarks.support.large_job import LargeJob
from benchmarks.support.measured import crawl_words, load, started, tail_of
from benchmarks.support.site import FastSite
from tests.support.tables import table

SPIDER = "linked"
HEADINGS = ("seconds to the first fetch", "minimum", "median", "maximum")
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.005


class Course:
    """Runs crawls to their first fetch, against one site."""

    def __init__(self, site: FastSite, hits: Path, folder: Path) -> None:
        self._site = site
        self._hits = hits
        self._folder = folder

    def plain(self) -> float:
        return self._run(self._folder / "none", plain=True)

    def new_job(self) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as store:
            return self._run(Path(store), plain=False)

    def resumed(self, store: Path) -> float:
        return self._run(store, plain=False)

    def resumed_cold(self, store: Path) -> float:
        for path in store.glob("*.sqlite3*"):
            forget(path)
        return self.resumed(store)

    def _run(self, store: Path, *, plain: bool) -> float:
        log = self._folder / "crawl.log"
        hits = HitLog(self._hits)
        hits.more()  # those of the crawls before
        words = crawl_words(SPIDER, self._site.url, store)
        began = time.monotonic()
        process = started(words, log, plain=plain)
        try:
            while not (found := hits.more()):
                if process.poll() is not None or time.monotonic() > began + PATIENCE_SECONDS:
                    raise SystemExit(f"no fetch:\n{tail_of(log.read_text())}")
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        return found[0].at - began


def forget(path: Path) -> None:
    """Have the system's cache drop a file that nobody has open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def measured(course: Course, runs: int, jobs: dict[str, Path]) -> str:
    kinds: dict[str, Callable[[], float]] = {
        "plain Scrapy": course.plain,
        "a new job": course.new_job,
    }
    for name, store in jobs.items():
        kinds[name] = partial(course.resumed, store)
        kinds[f"{name}, not cached"] = partial(course.resumed_cold, store)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(runs):
        for name, run in kinds.items():
            seconds[name].append(run())
    rows = [
        [name, *(f"{reduce(found):.2f}" for reduce in (min, median, max))]
        for name, found in seconds.items()
    ]
    return table(HEADINGS, rows)


def built(folder: Path, url: str, seen: int, pending: int, slots: int) -> dict[str, Path]:
    """The jobs to resume: what they are called in the table, and their stores."""
    large = LargeJob(url, seen, pending)
    broad = LargeJob(url, 0, pending, slots)
    stores = {
        f"{seen:,} seen, {pending:,} pending": folder / "large",
        f"{pending:,} pending in {slots:,} slots": folder / "broad",
    }
    for job, store in zip((large, broad), stores.values(), strict=True):
        began = time.monotonic()
        job.build(store, SPIDER)
        print(f"{job} written in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return stores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seen", type=int, default=1_000_000, help="finished requests")
    parser.add_argument("--pending", type=int, default=100_000, help="waiting requests")
    parser.add_argument("--slots", type=int, default=20_000, help="of the second job")
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hits = folder / "hits.log"
        with FastSite(log=hits) as site:
            jobs = built(folder, site.url, options.seen, options.pending, options.slots)
            before = load()
            print(measured(Course(site, hits, folder), options.runs, jobs))
            print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
