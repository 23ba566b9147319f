"""A spider that counts the responses in memory, without the garbage collector, and keeps one."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy.http import Response
from scrapy.utils.trackref import live_refs

PAGES = 60


class Keeper(scrapy.Spider):
    name = "wandering"
    site: str
    kept: Response

    async def start(self) -> AsyncIterator[Any]:
        gc.disable()
        for number in range(PAGES):
            yield scrapy.Request(f"{self.site}/leaf/{number}")

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"title": response.css("title::text").get()}
        if not hasattr(self, "kept"):
            self.kept = response

    def closed(self, reason: str) -> None:
        alive = sum(len(one) for kind, one in live_refs.items() if issubclass(kind, Response))
        print(f"{alive} responses; {self.kept.css('title::text').get()!r} was kept")
