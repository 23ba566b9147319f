"""A spider whose items have three steps that fail at random, by a seed, for ``scrapy runspider``.

What an attempt does follows from the seed, the item, the step, and from how many there were before.
However often the process dies, each step comes to the same end: one that fails for good fails at
every attempt, and one that does so at first has attempts left.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import scrapy
from scrapy.http import Response

from scrapy_resume import FailStep, RetryStep, SkipStep, step

ITEMS_OF_A_PAGE = 5
CALLS = Path("calls")
"""A folder, in the working directory of the crawl: a byte for each call, a file for each item and
step."""

TIMEOUT_SECONDS = 1.5
LONGEST_SECONDS = 0.06

SHARES = {
    "": 60, "skip": 8, "fail": 6, "raise": 6, "flaky": 8, "later": 8, "slow": 2, "hang": 1,
}  # fmt: skip
"""What steps do → how many of a hundred."""


def way_of(seed: int, name: str, n: int) -> str:
    return random.Random(f"{seed} {name} {n}").choices(list(SHARES), list(SHARES.values()))[0]


def begin(name: str, item: Any) -> tuple[str, float]:
    """Count a call. Returns what the attempt does, and how many seconds it takes."""
    path = CALLS / f"{name}-{item['n']}"
    before = path.stat().st_size if path.exists() else 0
    with path.open("ab") as file:
        file.write(b".")
    way = way_of(item["seed"], name, item["n"])
    if before and way in ("flaky", "later", "slow"):
        way = ""
    seconds = random.Random(f"{item['seed']} {name} {item['n']} s").uniform(0, LONGEST_SECONDS)
    return way, 2 * TIMEOUT_SECONDS if way in ("slow", "hang") else seconds


def conclude(name: str, item: Any, way: str) -> dict[str, Any]:
    if way == "skip":
        raise SkipStep("as drawn")
    if way == "fail":
        raise FailStep("as drawn")
    if way in ("raise", "flaky"):
        raise ValueError("as drawn")
    if way == "later":
        raise RetryStep(after=0.2)
    if way in ("slow", "hang"):
        # An event loop that was starved sees this end before it sees that the time is up.
        raise TimeoutError("as drawn")
    return {name: f"{name} of {item['n']}", f"{name}_merges": item.get(f"{name}_merges", 0) + 1}


@step(needs="n", timeout=TIMEOUT_SECONDS)
async def stock(item):
    way, seconds = begin("stock", item)
    await asyncio.sleep(seconds)
    return conclude("stock", item, way)


@step(needs="n", timeout=TIMEOUT_SECONDS)
def price(item):
    way, seconds = begin("price", item)
    time.sleep(seconds)
    return conclude("price", item, way)


class Text:
    """Reads what the page was, which no feed has."""

    name, needs, consumes, after, timeout = "text", "html", "html", "price", TIMEOUT_SECONDS

    async def process_item(self, item):
        way, seconds = begin("text", item)
        await asyncio.sleep(seconds)
        return {**conclude("text", item, way), "length": len(item["html"])}


class UnsteadySpider(scrapy.Spider):
    """``-a count=N``: items, a tenth from ``start()``, the others from pages of ``site``."""

    name = "unsteady"
    count = "500"
    seed = "0"
    site = ""

    def item(self, n: int) -> dict[str, Any]:
        html = {"html": "x" * (n % 7)} if n % 9 else {}
        return {"n": n, "seed": int(self.seed), **html}

    async def start(self) -> AsyncIterator[Any]:
        CALLS.mkdir(exist_ok=True)
        first_of_pages = int(self.count) // 10
        for n in range(first_of_pages):
            yield self.item(n)
        for first in range(first_of_pages, int(self.count), ITEMS_OF_A_PAGE):
            yield scrapy.Request(f"{self.site}/leaf/{first}", cb_kwargs={"first": first})

    def parse(self, response: Response, first: int) -> Any:
        for n in range(first, min(first + ITEMS_OF_A_PAGE, int(self.count))):
            yield self.item(n)
