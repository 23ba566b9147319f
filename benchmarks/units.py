"""What the counts of units cost: CPU a page with them, and without.

    python benchmarks/units.py --pairs 12 --pages 1000 --units 50

Both crawls have the add-on; one keeps no counts of units. They take the same local site, twenty
links and one item a page, one after the other; who goes first changes from pair to pair.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from benchmarks.support.site import FastSite

HEADINGS = ("", "without units", "with units", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--pages", type=int, default=1_000, help="pages of the site")
    parser.add_argument("--units", type=int, default=50)
    options = parser.parse_args()
    before = load()
    with FastSite(options.pages) as site:

        def crawled(folder: Path, without: bool) -> Cost:
            """One whole crawl; fails unless it has taken all pages."""
            words = crawl_words(
                "linked", site.url, folder / f"store-{without}", {"units": options.units}
            )
            words += ["-s", f"BENCH_UNCOUNTED_UNITS={int(without)}"]
            cost = measured(words, folder / "crawl.log", plain=False)
            taken = cost.stat("item_scraped_count")
            if taken != options.pages:
                raise SystemExit(f"the crawl took {taken:.0f} pages of {options.pages}")
            return cost

        pairs = interleaved(options.pairs, crawled)
    print(compared(pairs, 1_000 / options.pages, "ms a page", before, HEADINGS))


if __name__ == "__main__":
    main()
