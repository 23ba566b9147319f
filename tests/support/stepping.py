"""A spider whose items have steps, for ``scrapy runspider``. What steps do is said by the items."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import scrapy
from scrapy.http import Response
from scrapy.utils.asyncio import is_asyncio_available
from twisted.internet.defer import Deferred

from scrapy_resume import FailStep, RetryStep, SkipStep, step

CALLS = Path("calls.jsonl")
"""What steps were called with, in the working directory of the crawl."""


def note(name: str, item: Any, **more: Any) -> int:
    """Record a call; returns how many of the step and item there were before."""
    before = calls(CALLS, name).count(item["n"]) if CALLS.exists() else 0
    with CALLS.open("a") as file:
        file.write(json.dumps({"step": name, "n": item["n"], **more}) + "\n")
    return before


def calls(path: Path, name: str | None = None) -> list[int]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["n"] for line in lines if name in (None, line["step"])]


async def sleep(seconds: float) -> None:
    if is_asyncio_available():
        await asyncio.sleep(seconds)
        return
    from twisted.internet import reactor

    waiter: Deferred[None] = Deferred()
    reactor.callLater(seconds, waiter.callback, None)  # type: ignore[attr-defined]
    await waiter


def behave(name: str, item: Any, before: int) -> None:
    """Raise what the item says of the step, the first times or always."""
    how = (item.get("plan") or {}).get(name)
    if how == "skip":
        raise SkipStep("as planned")
    if how == "fail":
        raise FailStep("as planned")
    if how == "raise":
        raise ValueError("as planned")
    if how == "flaky" and before < 1:
        raise ValueError("the first time")
    if how == "later" and before < 1:
        raise RetryStep(after=0.1)


@step(needs="n", version="1")
async def double(item):
    before = note("double", item)
    await sleep((item.get("plan") or {}).get("seconds", 0))
    behave("double", item, before)
    return {"double": 2 * item["n"]}


@step(needs="double")
def plain(item):
    before = note("plain", item)
    time.sleep((item.get("plan") or {}).get("blocks", 0))
    behave("plain", item, before)
    return {"plain": item["double"] + 1}


class Html:
    """Reads what the page was, which no feed has."""

    name, needs, consumes, after = "html", "html", "html", ["plain"]

    def __init__(self) -> None:
        self.opened = 0

    @classmethod
    def from_crawler(cls, crawler):
        return cls()

    async def open_spider(self, spider):
        await sleep(0)
        self.opened += 1

    def close_spider(self):
        Path("closed").write_text(str(self.opened))

    async def process_item(self, item, spider):
        behave("html", item, note("html", item))
        return {"length": len(item["html"]), "of": spider.name}


@step(needs="pages")
async def pages(item, fetch):
    note("pages", item)
    answers = [await fetch(url) for url in item["pages"]]
    return {"statuses": [answer.status for answer in answers]}


@step(needs="pages")
def blocking(item, fetch, crawler):
    note("blocking", item)
    return {"bot": crawler.settings["BOT_NAME"], "first": fetch(item["pages"][0]).status}


@step(timeout=0.2, max_attempts=1)
def hangs(item):
    note("hangs", item)
    time.sleep(3600)


@step(timeout=0.2, max_attempts=2)
async def sleeps(item):
    note("sleeps", item)
    await sleep(3600)


@step(max_attempts=2)
def wrong(item):
    note("wrong", item)
    return item["wrong"]


@step(rate_limit=(10, 2.0))
async def limited(item):
    note("limited", item, at=time.time())
    await sleep(0.01)
    return {"limited": True}


class Product(scrapy.Item):
    n = scrapy.Field()
    wrong = scrapy.Field()
    ok = scrapy.Field()


class SteppingSpider(scrapy.Spider):
    """``-a items=JSON``: the items that pages give; ``-a start_items=JSON``: those of ``start()``;
    ``-a unit=NAME``: the unit of the pages."""

    name = "stepping"
    items = "[]"
    start_items = "[]"
    site = ""
    unit = ""

    async def start(self) -> AsyncIterator[Any]:
        meta = {"resume_unit": self.unit} if self.unit else {}
        for item in json.loads(self.start_items):
            yield item
        for place, item in enumerate(json.loads(self.items)):
            url = f"{self.site}/leaf/{place}" if self.site else f"data:,{place}"
            yield scrapy.Request(url, cb_kwargs={"item": item}, meta=meta)

    def parse(self, response: Response, item: Any) -> Any:
        yield Product(item) if "wrong" in item else item
