"""What a page takes longer where each page links to the next one only: milliseconds of wall time.

    python benchmarks/chain.py --pairs 8 --pages 1000

Nothing else can be fetched while a page's only link is on its way, so that all that the add-on
does between a response and the next request is seen here. The times are those between the
site's first and last hit, without start and end of the processes. Plain Scrapy and the add-on
crawl in turn; who goes first changes from pair to pair.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.hits import HitLog
from benchmarks.support.measured import crawl_words, end_in_order, load, measured
from benchmarks.support.pairs import interleaved
from benchmarks.support.site import FastSite
from benchmarks.support.stores import Stores, add_option
from tests.support.tables import table

HEADINGS = ("ms a page", "plain", "scrapy-resume", "more")


def crawled(folder: Path, store: Path | str, pages: int, *, plain: bool) -> float:
    """Milliseconds a page. Fails unless the crawl has taken all pages, one after the other."""
    hit_log = folder / f"hits-{plain}.log"
    with FastSite(pages, links=1, log=hit_log) as site:
        words = crawl_words("linked", site.url, store)
        measured(words, folder / f"crawl-{plain}.log", plain=plain)
    hits = HitLog(hit_log).more()
    if [hit.path for hit in hits] != [f"/page/{page}" for page in range(pages)]:
        raise SystemExit(f"the crawl asked for {len(hits)} pages of {pages}, or not in their order")
    return 1e3 * (hits[-1].at - hits[0].at) / (pages - 1)


def row(
    name: str, pairs: Sequence[tuple[float, float]], reduce: Callable[[Sequence[float]], float]
) -> list[str]:
    plain, ours = (reduce(times) for times in zip(*pairs, strict=True))
    return [name, f"{plain:.2f}", f"{ours:.2f}", f"{ours - plain:+.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="crawls of each kind")
    parser.add_argument("--pages", type=int, default=1_000, help="length of the chain, 2 at least")
    add_option(parser)
    options = parser.parse_args()
    if options.pages < 2:
        parser.error("a chain has two pages at least")
    end_in_order()
    before = load()
    with Stores(options.store) as stores:

        def timed(folder: Path, plain: bool) -> float:
            return crawled(folder, stores.new(folder), options.pages, plain=plain)

        pairs = interleaved(options.pairs, timed)
    rows = [row("median", pairs, median), row("minimum", pairs, min)]
    rows.append(["median of the pairs", "", "", f"{median(o - p for p, o in pairs):+.2f}"])
    print(table(HEADINGS, rows))
    print(f"{options.store}, {len(pairs)} pairs of {options.pages:,} pages; ", end="")
    print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
