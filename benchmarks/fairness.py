"""Many fast hosts and a slow one that has half of all URLs: does it hold the others up?

    python benchmarks/fairness.py --pairs 6 --pages 1980

Each page of the 99 fast hosts has a twin on the slow one, whose download slot alone has a delay;
links to both arrive mixed, from the start and from the pages. A crawl is ended with SIGKILL when
the site was asked for the last page of the fast hosts: the slow one would take for ever. What is
measured is the time from the first hit until then, and the longest time in it without a hit of
the slow host, both as the site saw it. Plain Scrapy and the add-on crawl in turn; who goes first
changes from pair to pair.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.hits import Hit, HitLog
from benchmarks.support.measured import (
    LIMIT_SECONDS,
    crawl_words,
    end_in_order,
    load,
    started,
    tail_of,
)
from benchmarks.support.pairs import interleaved
from benchmarks.support.site import FastSite, twin_host
from benchmarks.support.stores import Stores, add_option
from tests.support.tables import table

HEADINGS = ("seconds", "plain", "scrapy-resume", "ratio")
POLL_SECONDS = 0.05
SHORTEST_SECONDS = 0.1
"""Of shorter times no ratio is told."""


@dataclass(frozen=True)
class Race:
    """A crawl, from its first hit until its last one on a fast host."""

    seconds: float
    first_slow: float
    """Seconds until the slow host was asked for something; ``seconds`` if it never was."""
    longest_gap: float
    """Seconds without a hit of the slow host, the beginning and the end included."""
    slow_hits: int


def race(hits: Sequence[Hit], slow_host: str) -> Race:
    """What the hits of a crawl come to, oldest first."""
    began = hits[0].at
    done = max(hit.at for hit in hits if hit.host != slow_host)
    slow = [hit.at for hit in hits if hit.host == slow_host and hit.at <= done]
    gap = max(later - earlier for earlier, later in pairwise([began, *slow, done]))
    return Race(done - began, min([*slow, done]) - began, gap, len(slow))


class Course:
    """Crawls of the same site, each until its fast hosts are done."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._slow_host = twin_host(options.hosts)

    def run(self, folder: Path, store: Path | str, *, plain: bool) -> Race:
        options = self._options
        log, hit_log = folder / f"crawl-{plain}.log", folder / f"hits-{plain}.log"
        site = FastSite(
            options.pages,
            links=options.links,
            hosts=options.hosts,
            page_latency=options.latency,
            twins=True,
            log=hit_log,
        )
        with site:
            process = started(self._words(site.url, store), log, plain=plain)
            try:
                hits = self._until_done(process, HitLog(hit_log), log)
            finally:
                process.kill()
                process.wait()
        return race(hits, self._slow_host)

    def _words(self, url: str, store: Path | str) -> list[str]:
        options = self._options
        arguments = {"hosts": options.hosts, "starts": min(options.starts, options.pages)}
        # Two names of one thing: before Scrapy 2.19 the first was not known.
        slot = {"delay": options.delay, "jitter": 0.0, "randomize_delay": False}
        words = crawl_words("twins", url, store, arguments)
        return [*words, "-s", f"DOWNLOAD_SLOTS={json.dumps({self._slow_host: slot})}"]

    def _until_done(
        self, process: subprocess.Popen[bytes], hit_log: HitLog, log: Path
    ) -> list[Hit]:
        """All hits until each page of the fast hosts was asked for."""
        left = {f"/page/{page}" for page in range(self._options.pages)}
        hits: list[Hit] = []
        deadline = time.monotonic() + LIMIT_SECONDS
        while left:
            is_over = process.poll() is not None or time.monotonic() > deadline
            found = hit_log.more()
            hits += found
            left.difference_update(hit.path for hit in found if hit.host != self._slow_host)
            if left and is_over:
                text = tail_of(log.read_text(errors="replace"))
                raise SystemExit(f"{len(left)} pages were never asked for:\n{text}")
            time.sleep(POLL_SECONDS)
        return hits


def rows(pairs: Sequence[tuple[Race, Race]]) -> list[list[str]]:
    def row(
        name: str,
        of: Callable[[Race], float],
        reduce: Callable[[Sequence[float]], float],
        form: str = ".2f",
    ) -> list[str]:
        plain, ours = (reduce([of(pair[side]) for pair in pairs]) for side in (0, 1))
        ratio = f"{ours / plain:.3f}" if plain >= SHORTEST_SECONDS else ""
        return [name, format(plain, form), format(ours, form), ratio]

    return [
        row("until the fast hosts are done, median", lambda found: found.seconds, median),
        row("the same, minimum", lambda found: found.seconds, min),
        row("first hit of the slow host, median", lambda found: found.first_slow, median),
        row("the same, maximum", lambda found: found.first_slow, max),
        row("longest gap of the slow host, median", lambda found: found.longest_gap, median),
        row("the same, maximum", lambda found: found.longest_gap, max),
        row("hits of the slow host, median", lambda found: found.slow_hits, median, ".0f"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="crawls of each kind")
    parser.add_argument("--pages", type=int, default=1_980, help="of the fast hosts together")
    parser.add_argument("--links", type=int, default=10, help="a page; as many to the slow host")
    parser.add_argument("--hosts", type=int, default=99, help="fast ones, 2 to 250")
    parser.add_argument("--starts", type=int, default=100, help="start requests to each side")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds, of all hosts")
    parser.add_argument("--delay", type=float, default=2.0, help="seconds, of the slow host")
    add_option(parser)
    options = parser.parse_args()
    if not 2 <= options.hosts <= 250:
        parser.error("there are loopback addresses for 2 to 250 fast hosts")
    end_in_order()
    before = load()
    with Stores(options.store) as stores:
        course = Course(options)

        def raced(folder: Path, plain: bool) -> Race:
            return course.run(folder, stores.new(folder), plain=plain)

        pairs = interleaved(options.pairs, raced)
    print(table(HEADINGS, rows(pairs)))
    print(
        f"{options.store}, {options.pages:,} pages on {options.hosts} fast hosts, as many on one "
        f"with a delay of {options.delay:g} s; {len(pairs)} pairs"
    )
    print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
