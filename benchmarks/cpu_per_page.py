"""CPU seconds a page and peak memory: plain Scrapy, and Scrapy with the add-on.

    python benchmarks/cpu_per_page.py --pairs 12 --pages 1000

Both crawl the same local site, twenty links and one item a page, one after the other; who
goes first changes from pair to pair. The CPU is user and system time of the whole process; with
``--store postgres`` that of the server is told beside it. ``--carrying`` gives each request
``cb_kwargs``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from benchmarks.support.site import FastSite
from benchmarks.support.stores import Stores, add_option


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--pages", type=int, default=1_000, help="pages of the site")
    parser.add_argument(
        "--carrying",
        choices=("nothing", "text", "own", "shared"),
        default="nothing",
        help="what each request has in its cb_kwargs; see LinkedSpider",
    )
    add_option(parser)
    options = parser.parse_args()
    before = load()
    with FastSite(options.pages) as site, Stores(options.store) as stores:
        server = stores.server

        server_cpu: list[float] = []

        def crawled(folder: Path, plain: bool) -> Cost:
            """One whole crawl; fails unless it has taken all pages."""
            carrying = {"carrying": options.carrying}
            words = crawl_words("linked", site.url, stores.new(folder), carrying)
            spent = server.cpu_seconds() if server is not None else 0.0
            cost = measured(words, folder / "crawl.log", plain=plain)
            if server is not None and not plain:
                server_cpu.append(1_000 / options.pages * (server.cpu_seconds() - spent))
            taken = cost.stat("item_scraped_count")
            if taken != options.pages:
                raise SystemExit(f"the crawl took {taken:.0f} pages of {options.pages}")
            return cost

        pairs = interleaved(options.pairs, crawled)
    print(compared(pairs, 1_000 / options.pages, "ms a page", before))
    if server_cpu:
        print(f"the server's own: {median(server_cpu):.3f} ms a page, median")


if __name__ == "__main__":
    main()
