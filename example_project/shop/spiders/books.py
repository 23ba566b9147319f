"""Home page → categories → pages of a category → books → related books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from scrapy import Request, Spider
from scrapy.http import Response

from shop.items import Book
from shop.pages import links, read_book, shop_url


class BooksSpider(Spider):
    """Crawls the shop by following links: `scrapy crawl books -a site=http://127.0.0.1:8765`."""

    name = "books"

    async def start(self) -> AsyncIterator[Request]:
        """Requests the home page."""
        yield Request(shop_url(self, "/"), self.parse_home)

    def parse_home(self, response: Response) -> Iterator[Request]:
        """Yields a request for each category, the unit by which progress is also counted."""
        for link in response.css("nav.categories a"):
            meta = {"resume_unit": link.css("::text").get()}
            yield response.follow(link.attrib["href"], self.parse_category, meta=meta)

    def parse_category(self, response: Response) -> Iterator[Request]:
        """Yields requests for the books of one page of a category, and for the next page."""
        yield from response.follow_all(links(response, "article.book h3 a"), self.parse_book)
        yield from response.follow_all(links(response, "li.next a"), self.parse_category)

    def parse_book(self, response: Response) -> Iterator[Book | Request]:
        """Yields the book, and requests for related books, most of which are known already."""
        yield read_book(response)
        yield from response.follow_all(links(response, "aside.related a"), self.parse_book)
