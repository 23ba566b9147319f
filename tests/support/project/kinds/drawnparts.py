"""What the drawn spider has beside it: middlewares, a pipeline, handlers of signals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DontCloseSpider, DropItem, IgnoreRequest
from scrapy.http import HtmlResponse, Response
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from kinds.drawnpages import ANY_FORM, Ask, number_of

ALIAS = "alias=1"


async def rest(seconds: float) -> None:
    """Lets others go on."""
    if is_asyncio_available():
        await asyncio.sleep(seconds)
        return
    from twisted.internet import reactor

    waiter: Deferred[None] = Deferred()
    reactor.callLater(seconds, waiter.callback, None)  # type: ignore[attr-defined]
    await maybe_deferred_to_future(waiter)


class Part:
    """Something of the crawl that asks the spider's world what to do."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Any:
        return cls(crawler)

    @property
    def spider(self) -> Any:
        return self.crawler.spider

    def is_kind(self, url: str, kind: str) -> bool:
        return "inner=1" not in url and bool(self.spider.page_at(url).kind == kind)

    def crawl(self, target: int, *, unfiltered: bool = False, form: str = "") -> None:
        if not form and self.spider.world.has("lambdas"):
            form = ANY_FORM[target % len(ANY_FORM)]
        assert self.crawler.engine is not None
        self.crawler.engine.crawl(self.spider.request(Ask(target, form or "list", unfiltered)))


class DrawnDownloads(Part):
    """Sends what was asked for by another name on; asks once more for what it cannot believe."""

    def process_request(self, request: Request) -> Request | Response | None:
        if request.url.endswith(ALIAS):
            return request.replace(url=request.url[: -len(ALIAS) - 1])
        if "robots.txt" in request.url:
            return None
        if self.is_kind(request.url, "shortcut"):
            return HtmlResponse(request.url, body=b"<title>Not of the site</title>")
        if self.is_kind(request.url, "unwanted"):
            raise IgnoreRequest("unwanted")
        return None

    def process_response(self, request: Request, response: Response) -> Any:
        if "robots.txt" in request.url or "believed" in request.meta:
            return response
        if response.status == 200 and self.is_kind(request.url, "unbelieved"):
            meta = {**request.meta, "believed": True}
            return request.replace(meta=meta, dont_filter=True)
        return response


class Slowly(Part):
    """Takes its time with responses, before the cookies middleware sees them."""

    async def process_response(self, request: Request, response: Response) -> Response:
        if self.spider.world.has("middlewares"):
            await rest(0.02)
        return response


class DrawnSpiderMiddleware(Part):
    """Replaces requests and items by copies, refuses some responses, catches some exceptions."""

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for output in start:
            yield self.copied(output)

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        async for output in result:
            yield self.copied(output)

    def process_spider_input(self, response: Response) -> None:
        if self.is_kind(response.url, "input_error"):
            raise LookupError(response.url)

    def process_spider_exception(self, response: Response, exception: Exception) -> Any:
        number = number_of(response.url)
        if isinstance(exception, ValueError) and self.spider.world.has("middlewares"):
            return [{"caught": number, "fate": "", "target": -1}] if number % 2 else None
        return None

    def copied(self, output: Any) -> Any:
        if not self.spider.world.has("middlewares"):
            return output
        if isinstance(output, Request):
            return output.replace(priority=output.priority + 1)
        return {**output, "copied": True}


class DrawnPipeline(Part):
    """Drops, fails, waits or asks for more, as the item says."""

    async def process_item(self, item: Any) -> Any:
        fate, target = item["fate"], item["target"]
        if fate == "drop":
            raise DropItem("as it was drawn")
        if fate == "fail":
            raise KeyError("as it was drawn")
        if fate == "rest":
            await rest(0.02)
        if fate.startswith("ask"):
            # Lambdas that equal items of start() ask for are not told apart: docs/lineage.md.
            form = "list" if "start" in item else ""
            self.crawl(target, unfiltered=fate == "ask unfiltered", form=form)
        return item


class DrawnSignals(Part):
    """Handlers of signals that schedule, or refuse."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        crawler.signals.connect(self.item_scraped, signals.item_scraped)
        crawler.signals.connect(self.request_scheduled, signals.request_scheduled)
        crawler.signals.connect(self.response_received, signals.response_received)
        crawler.signals.connect(self.spider_idle, signals.spider_idle)
        self.idle_asks: Iterator[Ask] | None = None

    def item_scraped(self, item: Any) -> None:
        if item["fate"] == "tell":
            self.crawl(item["target"])

    def request_scheduled(self, request: Request) -> None:
        if self.is_kind(request.url, "refused"):
            raise IgnoreRequest("refused")

    def response_received(self, response: Response) -> None:
        if "robots.txt" not in response.url and self.is_kind(response.url, "noticed"):
            self.crawl(self.spider.page_at(response.url).query["notice"])

    def spider_idle(self) -> None:
        if self.idle_asks is None:
            self.idle_asks = iter(self.spider.world.idle_asks)
        ask = next(self.idle_asks, None)
        if ask is not None:
            assert self.crawler.engine is not None
            self.crawler.engine.crawl(self.spider.request(ask))
            raise DontCloseSpider
