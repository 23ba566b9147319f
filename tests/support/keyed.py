"""A spider with pipelines that write elsewhere, for ``scrapy runspider``.

Each page gives two items. What a pipeline is told of an item is appended to ``keys.jsonl``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.http import Response

from scrapy_resume import item_key

SLOW_PAGE = 4
SLOW_SECONDS = 1.5
"""How long the pipeline takes for that page's items: long enough to be killed meanwhile."""


class WriteKeys:
    """Asks for the key, waits, asks again, and asks for one more page."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.file = os.open("keys.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> WriteKeys:
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        key = item_key(item)
        os.write(self.file, json.dumps([key, item["title"]]).encode() + b"\n")
        slow = item["number"] == SLOW_PAGE and not os.path.exists("hurry")
        await asyncio.sleep(SLOW_SECONDS if slow else 0.01)
        assert item_key(item) == key
        if item["number"] % 7 == 0 and item["half"] == "a":
            spider: Any = self.crawler.spider
            assert self.crawler.engine is not None
            detail = Request(f"{spider.site}/leaf/{item['number']}", callback=spider.parse_detail)
            self.crawler.engine.crawl(detail)
        return {**item, "key": key}


class DropAndRaise:
    """Drops one half of every third page, and raises for the other half of every fifth."""

    def process_item(self, item: Any) -> Any:
        assert item_key(item) == item["key"], "the item is another object by now"
        if item["half"] == "a" and item["number"] % 3 == 0:
            raise DropItem("a third")
        if item["half"] == "b" and item["number"] % 5 == 0:
            raise ValueError("a fifth")
        return item


class KeyedSpider(Spider):
    """Takes the page graph of the site at ``-a site=URL``."""

    name = "keyed"
    site: str

    @classmethod
    def update_settings(cls, settings: Any) -> None:
        super().update_settings(settings)
        settings.set("ITEM_PIPELINES", {WriteKeys: 100, DropAndRaise: 200}, "spider")

    async def start(self) -> AsyncIterator[Any]:
        for number in (1001, 1002):
            yield {"title": f"Seed {number}", "number": number, "half": ""}
        yield Request(f"{self.site}/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        assert item_key("anything") is None, "this is not a pipeline"
        number = int(response.url.rpartition("/")[2])
        for half in "ab":
            yield {"title": f"Page {number}{half}", "number": number, "half": half}
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href)

    async def parse_detail(self, response: Response) -> AsyncIterator[Any]:
        assert item_key("anything") is None, "this is not a pipeline"
        yield {"title": response.css("title::text").get(), "number": 1, "half": ""}
