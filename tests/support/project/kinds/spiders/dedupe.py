"""How often and in which order pages are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response

from kinds.base import KindSpider, page_item, path_of


class StartUrlSpider(KindSpider):
    """``start_urls``, which are fetched without a filter and are linked as well."""

    name = "start_urls"

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> StartUrlSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.start_urls = [spider.url(path) for path in ("/page/0", "/page/5", "/page/5")]
        return spider

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)


class DontFilterSpider(KindSpider):
    """The same page asked for several times on purpose, by one parent and by many."""

    name = "dont_filter"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(12):
            yield self.ask(f"/leaf/{number}")
        yield self.ask("/leaf/3", dont_filter=True)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for _ in range(3):
            yield response.follow("/leaf/shared", callback=self.parse_shared, dont_filter=True)
        yield response.follow("/leaf/shared", callback=self.parse_shared)

    def parse_shared(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        yield page_item(response)


class PrioritySpider(KindSpider):
    """Every priority is in use; the order differs, the items don't."""

    name = "priorities"

    async def start(self) -> AsyncIterator[Any]:
        for number in (0, 1, 2):
            yield self.ask(f"/page/{number}", priority=number - 1, dont_filter=True)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for place, link in enumerate(self.links(response)):
            yield response.follow(link, priority=(len(link) + place) % 7 - 3)


class FingerprintSpider(KindSpider):
    """``REQUEST_FINGERPRINTER_CLASS``: a session number in the URL is no new page."""

    name = "fingerprints"
    custom_settings = {
        "REQUEST_FINGERPRINTER_CLASS": "kinds.fingerprints.SessionBlindFingerprinter",
    }

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0?session=start")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"path": path_of(response.url).partition("?")[0]}
        for number, link in enumerate(self.links(response)):
            yield response.follow(f"{link}?session={number}{response.url[-1]}")


class DepthSpider(KindSpider):
    """``DEPTH_LIMIT`` on a tree in which every page has one depth only."""

    name = "depth"
    custom_settings = {"DEPTH_LIMIT": 3, "DEPTH_PRIORITY": 1}

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/leaf/r")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {**page_item(response), "depth": response.meta["depth"]}
        for turn in "abc":
            yield response.follow(f"{response.url}{turn}")


class NoDupeFilterSpider(KindSpider):
    """``BaseDupeFilter``: nothing is filtered."""

    name = "no_dupefilter"
    custom_settings = {"DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter"}

    async def start(self) -> AsyncIterator[Any]:
        for number in (1, 2, 1):
            yield self.ask(f"/leaf/{number}?depth=0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        head, _, depth = response.url.rpartition("=")
        if int(depth) < 3:
            for _ in range(2):
                yield response.follow(f"{head}={int(depth) + 1}")


class TwinSpider(KindSpider):
    """True duplicates stay: equal items of one page, and of several pages."""

    name = "twins"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        yield page_item(response)
        yield {"same": "on every page"}
        for link in self.links(response):
            yield response.follow(link)
        yield {"same": "on every page"}
