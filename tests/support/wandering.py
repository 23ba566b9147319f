"""A spider of its own file, for crawls whose settings and code the tests change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class WanderingSpider(Spider):
    """Takes the page graph of the site at ``-a site=URL``; counts pages in its state."""

    name = "wandering"
    site: str
    state: dict[str, Any]

    async def start(self) -> AsyncIterator[Any]:
        self.logger.info("start() runs")
        yield Request(f"{self.site}/page/0", callback=self.parse_page)

    def parse_page(self, response: Response) -> Iterator[Any]:
        self.state["pages"] = self.state.get("pages", 0) + 1
        yield {"title": response.css("title::text").get()}
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href, callback=self.parse_page)
