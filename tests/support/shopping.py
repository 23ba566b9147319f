"""A spider for a shop that is crawled again and again, for ``scrapy runspider``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import DropItem
from scrapy.http import Response


def number_of(url: str) -> int:
    return int(url.partition("?")[0].rpartition("/")[2])


class ShopSpider(Spider):
    """Takes listings and products of the site at ``-a site=URL``, beginning with ``-a starts=``.

    By the last digit of its number a product

    - 0: gives nothing
    - 1: is linked through a callback that cannot be serialized
    - 2: is not filtered
    - 3: is always fetched
    - 4: has another URL in each ``-a visit=``, and a key of its own
    """

    name = "shop"
    site: str
    starts = "/listing/0"
    visit = "1"

    async def start(self) -> AsyncIterator[Any]:
        for path in self.starts.split(","):
            callback = self.parse if "listing" in path else self.parse_product
            yield Request(self.site + path, callback)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for href in response.css("li a::attr(href)").getall():
            url = response.urljoin(href)
            yield self.product(url) if "/product/" in url else Request(url)

    def product(self, url: str) -> Request:
        number = number_of(url)
        kind = number % 10
        if kind == 1:
            return Request(url, lambda response: self.parse_product(response))
        if kind == 2:
            return Request(url, self.parse_product, dont_filter=True)
        if kind == 3:
            meta = {"resume_delta": False, "deltafetch_enabled": False}
            return Request(url, self.parse_product, meta=meta)
        if kind == 4:
            key = f"product {number}"
            meta = {"resume_key": key, "deltafetch_key": key}
            return Request(f"{url}?visit={self.visit}", self.parse_product, meta=meta)
        return Request(url, self.parse_product)

    def parse_product(self, response: Response) -> Iterator[Any]:
        if number_of(response.url) % 10:
            yield {"title": response.css("title::text").get()}


class Drops:
    """A pipeline that wants no products with a 5 at the end, and fails with a 6."""

    def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["title"].endswith("5"):
            raise DropItem("not wanted")
        if item["title"].endswith("6"):
            raise ValueError("no price")
        return item
