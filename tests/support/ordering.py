"""A spider whose requests have an order to be told by, for ``scrapy runspider``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class OrderingSpider(Spider):
    """Takes the page graph of the site at ``-a site=URL``, from three of its pages.

    ``-a priorities=1`` gives links priorities of -2 to 2; ``-a hosts=2`` asks for each link
    under both of the site's names (URLs say which, the site's log of hits does not), ``-a
    leaves=40`` gives each page so many more of them, and ``-a detours=1`` asks for pages that
    redirect, and for pages that answer 503 at first.
    """

    name = "ordering"
    site: str
    priorities = ""
    hosts = "1"
    detours = ""
    leaves = "0"

    async def start(self) -> AsyncIterator[Any]:
        for number in (0, 8, 16):
            yield Request(f"{self.site}/page/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = response.url.partition("?")[0].rpartition("/")[2]
        yield {"title": response.css("title::text").get()}
        if self.detours:
            yield Request(f"{self.site}/redirect/{number}?hops=2", callback=self.parse_again)
            yield Request(f"{self.site}/flaky/{number}?times=1", callback=self.parse_again)
        for place, href in enumerate(response.css("li a::attr(href)").getall()):
            yield from self.ask(href, place)
            yield {"after": href}
        for place in range(int(self.leaves)):
            yield from self.ask(f"/leaf/{number}-{place}", place, callback=self.parse_again)

    def ask(self, path: str, place: int, **options: Any) -> Iterator[Request]:
        priority = (len(path) + 3 * place) % 5 - 2 if self.priorities else 0
        yield Request(f"{self.site}{path}", priority=priority, **options)
        if self.hosts == "2":
            other = self.site.replace("127.0.0.1", "localhost")
            yield Request(f"{other}{path}?at=localhost", priority=priority, **options)

    def parse_again(self, response: Response) -> Iterator[Any]:
        yield {"title": response.css("title::text").get()}
