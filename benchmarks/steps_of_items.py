"""CPU microseconds that one step of an item costs, if it is a coroutine that does nothing: a crawl
without steps, and the same crawl with one.

    python benchmarks/steps_of_items.py --pairs 12 --items 20000

The spider yields a thousand items of 200 bytes from each page, so that pages cost next to nothing.
The CPU is user and system time of the whole process; with ``--store postgres`` that of the server
is told beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.pairs import compared, interleaved
from benchmarks.support.site import FastSite
from benchmarks.support.spiders import ITEMS_A_PAGE
from benchmarks.support.stores import Stores, add_option

STEPS = json.dumps({"benchmarks.support.steps.nothing": 100})
HEADINGS = ("", "no steps", "one step", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="runs of each kind")
    parser.add_argument("--items", type=int, default=20_000, help="items of the crawl")
    add_option(parser)
    options = parser.parse_args()
    pages = options.items // ITEMS_A_PAGE
    before = load()
    server_cpu: dict[bool, list[float]] = {True: [], False: []}
    with FastSite(pages) as site, Stores(options.store) as stores:
        server = stores.server

        def crawled(folder: Path, plain: bool) -> Cost:
            """One whole crawl; fails unless each item was stored, and each step has run."""
            store = stores.new(folder / f"store-{plain}")
            words = crawl_words("items", site.url, store, {"pages": pages})
            if not plain:
                words += ["-s", f"RESUME_STEPS={STEPS}"]
            spent = server.cpu_seconds() if server is not None else 0.0
            cost = measured(words, folder / "crawl.log", plain=False)
            if server is not None:
                server_cpu[plain].append(server.cpu_seconds() - spent)
            _check(cost, options.items, 0 if plain else options.items)
            return cost

        pairs = interleaved(options.pairs, crawled)
    scale = 1e6 / options.items
    print(compared(pairs, scale, "µs an item", before, HEADINGS))
    without = [pair[0].running_cpu_seconds for pair in pairs]
    with_one = [pair[1].running_cpu_seconds for pair in pairs]
    print(f"one step, without start-up: {_difference(without, with_one, scale)}")
    if server is not None:
        print(f"of the server: {_difference(server_cpu[True], server_cpu[False], scale)}")


def _check(cost: Cost, items: int, steps: int) -> None:
    taken = cost.stat("item_scraped_count")
    ended = cost.stat("resume/steps/nothing/done")
    if (taken, ended) != (items, steps):
        raise SystemExit(
            f"the crawl took {taken:.0f} items of {items}; {ended:.0f} steps of {steps} have ended"
        )


def _difference(without: Sequence[float], with_one: Sequence[float], scale: float) -> str:
    def of(reduce: Callable[[Sequence[float]], float]) -> str:
        return f"{scale * (reduce(with_one) - reduce(without)):.1f}"

    return f"{of(median)} µs (medians), {of(min)} µs (minima)"


if __name__ == "__main__":
    main()
