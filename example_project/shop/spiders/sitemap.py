"""Finds the same books through the sitemap."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response
from scrapy.spiders import SitemapSpider

from shop.items import Book
from shop.pages import read_book, shop_url


class ShopSitemapSpider(SitemapSpider):
    """Crawls the shop through its sitemap: `scrapy crawl sitemap`."""

    name = "sitemap"
    sitemap_rules = (("/book/", "parse_book"),)

    async def start(self) -> AsyncIterator[Any]:
        """Requests the sitemap of the shop."""
        self.sitemap_urls = [shop_url(self, "/sitemap.xml")]
        async for request in super().start():
            yield request

    def parse_book(self, response: Response) -> Iterator[Book]:
        """Yields the book of a page."""
        yield read_book(response)
