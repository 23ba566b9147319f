"""Peak memory: plain Scrapy, and Scrapy with the add-on.

    python benchmarks/memory.py --pages 5000 --seen 20000 60000 150000

First the same crawl of so many pages, twenty links and one item each. Then crawls that see
very many URLs and fetch hardly any of them: with the add-on their number must not matter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.site import FastSite
from tests.support.tables import table

HEADINGS = ("peak memory, MB", "plain", "scrapy-resume", "difference")
LEAF_SECONDS = 1.0
"""How long the site takes for a page without links: few of them are fetched."""

PLAIN_UP_TO = 60_000
"""URLs: plain Scrapy keeps what waits in memory, so more of them show nothing new."""


def peak_of(
    spider: str, site: FastSite, *, plain: bool, arguments: Mapping[str, Any] | None = None
) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        words = crawl_words(spider, site.url, Path(folder) / "store", arguments)
        return measured(words, Path(folder) / "crawl.log", plain=plain)


def fetched(pages: int, runs: int) -> list[str]:
    """The largest peak of each kind, of some runs."""
    peaks = {True: 0, False: 0}
    with FastSite(pages) as site:
        for _ in range(runs):
            for plain in peaks:
                cost = peak_of("linked", site, plain=plain)
                if cost.stat("item_scraped_count") != pages:
                    raise SystemExit(f"the crawl did not take all {pages} pages")
                peaks[plain] = max(peaks[plain], cost.peak_bytes)
    return row(f"{pages:,} pages fetched", peaks)


def seen(sizes: Sequence[int]) -> list[list[str]]:
    rows = []
    with FastSite(latency=LEAF_SECONDS) as site:
        for size in sizes:
            peaks = {}
            for plain in (True, False) if size <= PLAIN_UP_TO else (False,):
                cost = peak_of("seen", site, plain=plain, arguments={"urls": size})
                if cost.stat("scheduler/enqueued") < size:
                    raise SystemExit(f"the crawl did not see all {size} URLs")
                peaks[plain] = cost.peak_bytes
            rows.append(row(f"{size:,} URLs seen", peaks))
    return rows


def row(name: str, peaks: Mapping[bool, int]) -> list[str]:
    ours = peaks[False] / 1e6
    if True not in peaks:
        return [name, "", f"{ours:.1f}", ""]
    plain = peaks[True] / 1e6
    return [name, f"{plain:.1f}", f"{ours:.1f}", f"{ours - plain:+.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=5_000, help="pages of the site")
    parser.add_argument("--runs", type=int, default=1, help="crawls of each kind")
    parser.add_argument("--seen", type=int, nargs="*", default=[20_000, 60_000, 150_000])
    options = parser.parse_args()
    before = load()
    print(table(HEADINGS, [fetched(options.pages, options.runs), *seen(options.seen)]))
    print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
