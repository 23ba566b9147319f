"""CPU seconds a page and peak memory: plain Scrapy, and Scrapy with the add-on.

    python benchmarks/cpu_per_page.py --pairs 12 --pages 1000

Both crawl the same local site, twenty links and one item a page, one after the other; who
goes first changes from pair to pair. The CPU is user and system time of the whole process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.site import FastSite
from tests.support.tables import table

HEADINGS = ("", "plain", "scrapy-resume", "ratio")


def crawled(site: FastSite, pages: int, folder: Path, *, plain: bool) -> Cost:
    """One whole crawl; fails unless it has taken all pages."""
    words = crawl_words("linked", site.url, folder / "store")
    cost = measured(words, folder / "crawl.log", plain=plain)
    taken = cost.stat("item_scraped_count")
    if taken != pages:
        raise SystemExit(f"the crawl took {taken:.0f} pages of {pages}")
    return cost


def pairs_of(count: int, pages: int) -> list[tuple[Cost, Cost]]:
    """(plain, with the add-on), each pair from a folder of its own."""
    pairs = []
    with FastSite(pages) as site:
        for number in range(count):
            with tempfile.TemporaryDirectory() as folder:
                plain_first = number % 2 == 0
                costs = {
                    plain: crawled(site, pages, Path(folder), plain=plain)
                    for plain in (plain_first, not plain_first)
                }
            pairs.append((costs[True], costs[False]))
            print(f"pair {number + 1} of {count}", file=sys.stderr, flush=True)
    return pairs


def row(
    name: str,
    pairs: Sequence[tuple[Cost, Cost]],
    of: Callable[[Cost], float],
    reduce: Callable[[Sequence[float]], float],
) -> list[str]:
    plain, ours = (reduce([of(pair[side]) for pair in pairs]) for side in (0, 1))
    return [name, f"{plain:.3f}", f"{ours:.3f}", f"{ours / plain:.3f}"]


def report(pairs: Sequence[tuple[Cost, Cost]], pages: int) -> str:
    def whole(cost: Cost) -> float:
        return 1_000 * cost.cpu_seconds / pages

    def running(cost: Cost) -> float:
        return 1_000 * cost.running_cpu_seconds / pages

    def megabytes(cost: Cost) -> float:
        return cost.peak_bytes / 1e6

    rows = [
        row("CPU ms a page, median", pairs, whole, median),
        row("CPU ms a page, minimum", pairs, whole, min),
        row("without start-up, median", pairs, running, median),
        row("without start-up, minimum", pairs, running, min),
        row("peak memory MB, median", pairs, megabytes, median),
    ]
    return table(HEADINGS, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--pages", type=int, default=1_000, help="pages of the site")
    options = parser.parse_args()
    before = load()
    pairs = pairs_of(options.pairs, options.pages)
    print(report(pairs, options.pages))
    print(f"{options.pairs} pairs of {options.pages} pages; {before} before, {load()} after")


if __name__ == "__main__":
    main()
