"""A spider with pipelines and filters that remember what they have seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import DropItem
from scrapy.http import Response


class DuplicatesPipeline:
    """The one of the tutorial."""

    def __init__(self) -> None:
        self.ids_seen: set[int] = set()
        self.first: dict[int, str] = {}

    def process_item(self, item: Any) -> Any:
        if item["id"] in self.ids_seen:
            raise DropItem(f"Item ID already seen: {item!r}")
        self.ids_seen.add(item["id"])
        self.first[item["id"]] = item["title"]
        return item


class HoldingPipeline:
    """The item of page 3 stays here for ever, until a file ``go`` exists."""

    def __init__(self) -> None:
        self._never = asyncio.Event()

    async def process_item(self, item: Any) -> Any:
        if item["title"].endswith(" 3") and not Path("go").exists():
            Path("held").touch()
            await self._never.wait()
        return item


class Broken(DuplicatesPipeline):
    """Keeps what cannot be serialized."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = object()


class FirstOfId:
    """A filter of a feed that remembers."""

    def __init__(self, feed_options: Any = None) -> None:
        self.seen: set[int] = set()

    def accepts(self, item: Any) -> bool:
        new = item["id"] not in self.seen
        self.seen.add(item["id"])
        return new


class RememberingSpider(Spider):
    """Several pages give an item with one id."""

    name = "wandering"
    site: str

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/page/0")

    def parse(self, response: Response) -> Iterator[Any]:
        title = str(response.css("title::text").get())
        yield {"id": int(title.split()[-1]) % 5, "title": title}
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href)
