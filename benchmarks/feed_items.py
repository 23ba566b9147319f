"""CPU microseconds an item, and peak memory, with a JSON Lines feed: plain Scrapy, and with the
add-on.

    python benchmarks/feed_items.py --pairs 6 --items 1000000

The spider yields a thousand items of 200 bytes from each page.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from benchmarks.support.site import FastSite
from benchmarks.support.spiders import ITEMS_A_PAGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="runs of each kind")
    parser.add_argument("--items", type=int, default=60_000, help="items of the crawl")
    options = parser.parse_args()
    pages = options.items // ITEMS_A_PAGE
    before = load()
    with FastSite(pages) as site:

        def crawled(folder: Path, plain: bool) -> Cost:
            """One whole crawl; fails unless the feed holds all items."""
            feed = folder / f"items-{plain}.jsonl"
            words = crawl_words("items", site.url, folder / "store", {"pages": pages})
            cost = measured([*words, "-o", str(feed)], folder / "crawl.log", plain=plain)
            with feed.open("rb") as file:
                lines = sum(1 for _ in file)
            if lines != options.items:
                raise SystemExit(f"the feed holds {lines} items of {options.items}")
            return cost

        pairs = interleaved(options.pairs, crawled)
    print(compared(pairs, 1e6 / options.items, "µs an item", before))


if __name__ == "__main__":
    main()
