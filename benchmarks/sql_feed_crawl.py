"""CPU of a crawl whose feed is a database, beside the same crawl with a JSON Lines feed.

    python benchmarks/sql_feed_crawl.py --pairs 12 --pages 1000 [--items 20000] [--target postgres]

The spider takes a site of twenty links and one item a page. With ``--items`` it yields a thousand
items of 200 bytes from each page instead: nothing but the feed is dear then. The server's own CPU
is not in it.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from benchmarks.support.site import FastSite
from benchmarks.support.spiders import ITEMS_A_PAGE
from tests.support.postgres import PostgresServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--pages", type=int, default=1_000, help="pages of the site")
    parser.add_argument("--items", type=int, help="a thousand items a page, so many in all")
    parser.add_argument("--target", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    pages = options.items // ITEMS_A_PAGE if options.items else options.pages
    items = options.items or options.pages
    before = load()
    with ExitStack() as stack:
        site = stack.enter_context(FastSite(pages))
        server = None
        if options.target == "postgres":
            server = stack.enter_context(PostgresServer())

        def crawled(folder: Path, plain: bool) -> Cost:
            """One whole crawl; ``plain``: with the file."""
            spider, arguments = ("items", {"pages": pages}) if options.items else ("linked", {})
            words = crawl_words(spider, site.url, folder / f"store-{plain}", arguments)
            url = server.new_database() if server else f"sqlite:///{folder / 'shop.db'}"
            words += ["-o", str(folder / "items.jsonl") if plain else f"{url}#items:sql"]
            cost = measured(words, folder / "crawl.log", plain=False)
            if cost.stat("item_scraped_count") != items:
                raise SystemExit(f"the crawl took {cost.stat('item_scraped_count'):.0f} items")
            if not plain and f"{items} rows written" not in cost.log:
                raise SystemExit(f"not all rows are written:\n{cost.log[-4000:]}")
            return cost

        pairs = interleaved(options.pairs, crawled)
    headings = ("", "JSON Lines", options.target, "ratio")
    print(compared(pairs, 1e6 / items, "µs an item", before, headings))


if __name__ == "__main__":
    main()
