"""CPU a page and peak memory on a documentation site that nobody here wrote: plain Scrapy, and with
the add-on.

    python benchmarks/real_site.py --pairs 12

The manual of PostgreSQL, from its Debian package (see ``tests.crash.real``), is served by another
process and taken by a CrawlSpider: Scrapy's link extractor, an item for each page and heading, a
JSON Lines feed. The feeds of all crawls have to hold the same items.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from tests.crash.real import CACHE, NotToBeHadError, fetched_package, unpacked

PORT = re.compile(rb"port (\d+)")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server over a folder, in a process of its own."""
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    words += ["--protocol", "HTTP/1.1", "--directory", str(folder)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        found = PORT.search(server.stdout.readline())
        assert found is not None
        yield f"http://127.0.0.1:{int(found[1])}"
    finally:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--deb", type=Path, help="a Debian package with HTML documentation")
    options = parser.parse_args()
    before = load()
    whole: Counter[str] = Counter()
    pages = 0
    with tempfile.TemporaryDirectory() as temporary:
        try:
            package = options.deb or fetched_package(CACHE)
            documentation = unpacked(package, Path(temporary))
        except NotToBeHadError as error:
            raise SystemExit(f"real_site.py: {error}") from error
        with served(documentation) as url:

            def crawled(folder: Path, plain: bool) -> Cost:
                """One whole crawl; fails unless its feed is that of all others."""
                nonlocal pages
                feed = folder / f"items-{plain}.jsonl"
                words = crawl_words("documentation", url, folder / "store")
                cost = measured([*words, "-o", str(feed)], folder / "crawl.log", plain=plain)
                items = Counter(feed.read_text(encoding="utf-8").splitlines())
                pages = int(cost.stat("response_received_count"))
                whole.update({} if whole else items)
                if items != whole:
                    raise SystemExit(f"plain: {plain}: other items than the first crawl")
                return cost

            pairs = interleaved(options.pairs, crawled)
    print(f"{package.name}: {pages:,} pages, {whole.total():,} items")
    print(compared(pairs, 1_000 / pages, "ms a page", before))


if __name__ == "__main__":
    main()
