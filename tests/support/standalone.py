"""A spider outside of any project, for ``scrapy runspider``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class StandaloneSpider(Spider):
    """Takes the page graph of the site at ``-a site=URL``."""

    name = "standalone"
    site: str

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"title": response.css("title::text").get()}
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href)
