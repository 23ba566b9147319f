"""What ``start()`` may do, and where else requests come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import signals
from scrapy.exceptions import DontCloseSpider
from scrapy.http import Response

from kinds.base import KindSpider, page_item, path_of
from kinds.settings import EXTENSIONS


class StartItemSpider(KindSpider):
    """``start()`` yields items, equal ones among them, between its requests."""

    name = "start_items"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(40):
            yield {"seed": number % 10}
            yield self.ask(f"/leaf/{number}")
        yield {"seed": "the last"}

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)


class StartOptionSpider(KindSpider):
    """Start requests with priorities, callbacks, ``cb_kwargs`` and equal ones."""

    name = "start_options"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(30):
            yield self.ask(
                f"/leaf/{number}",
                priority=number % 3,
                callback=self.parse_given,
                cb_kwargs={"number": number},
            )
            if number % 4 == 0:
                options = {"callback": self.parse_again, "dont_filter": True}
                yield self.ask("/leaf/same", **options)
                yield self.ask("/leaf/same", **options)

    def parse_given(self, response: Response, number: int) -> Iterator[Any]:
        yield {**page_item(response), "number": number}
        yield response.follow("/leaf/same", callback=self.parse_again)

    def parse_again(self, response: Response) -> Iterator[Any]:
        yield {"same": path_of(response.url)}


class StartEmptySpider(KindSpider):
    """``start()`` yields items only; there is no request at all."""

    name = "start_without_requests"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(20):
            yield {"number": number}


class PipelineRequestSpider(KindSpider):
    """A pipeline asks for a page of each item."""

    name = "pipeline_requests"
    custom_settings = {"ITEM_PIPELINES": {"kinds.pipelines.DetailRequests": 300}}

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)

    def parse_detail(self, response: Response) -> Iterator[Any]:
        yield {"detail": path_of(response.url)}


class ExtensionRequestSpider(KindSpider):
    """An extension asks for a page after each item, by a signal."""

    name = "extension_requests"
    custom_settings = {"EXTENSIONS": {**EXTENSIONS, "kinds.extensions.SignalRequests": 600}}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(30):
            yield self.ask(f"/leaf/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)

    def parse_signalled(self, response: Response) -> Iterator[Any]:
        yield {"signalled": path_of(response.url)}


class IdleSpider(KindSpider):
    """Asks for the next batch whenever it is idle."""

    name = "idle"
    batches = 3

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> IdleSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.batch = 0
        crawler.signals.connect(spider.idle, signals.spider_idle)
        return spider

    batch: int

    async def start(self) -> AsyncIterator[Any]:
        for number in range(10):
            yield self.ask(f"/leaf/{number}")

    def idle(self) -> None:
        if self.batch == self.batches:
            return
        self.batch += 1
        assert self.crawler.engine is not None
        for number in range(10):
            self.crawler.engine.crawl(self.ask(f"/leaf/batch-{self.batch}-{number}"))
        raise DontCloseSpider

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        if response.url.endswith("0"):
            yield response.follow(f"{response.url}-more")
