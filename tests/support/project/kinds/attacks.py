"""Spiders that do what few do, each once: for the tests of attacks, not among the kinds."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.logformatter import LogFormatter
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.project import get_project_settings
from twisted.internet.defer import Deferred

from kinds.base import KindSpider, page_item

RECORDED = get_project_settings().getdict("EXTENSIONS")


class Attack(KindSpider):
    """Takes the title of every page."""

    def parse(self, response: Response, **kwargs: Any) -> Any:
        yield page_item(response)


class SameObjectSpider(Attack):
    """Yields each request object twice; half of them cannot be serialized."""

    name = "same_object"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/leaf/first", callback=self.first)

    def first(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        for path, callback in (("a", self.parse), ("b", lambda inner: self.parse(inner))):
            url = f"/slow/{path}?seconds=0.05"
            request = self.ask(url, callback=callback, dont_filter=True)
            yield request
            yield request


class OneLogin:
    """Answers every first response with one and the same request, as a session's login would."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.login: Request | None = None

    def process_response(self, request: Request, response: Response) -> Request | Response:
        if "login" in request.url or request.url in self.asked:
            return response
        self.asked.add(request.url)
        if self.login is None:
            url = response.urljoin("/slow/login?seconds=0.05")
            self.login = request.replace(url=url, dont_filter=True)
        return self.login


class SharedRequestSpider(Attack):
    name = "shared_request"
    custom_settings = {"DOWNLOADER_MIDDLEWARES": {OneLogin: 600}}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield self.ask(f"/leaf/{number}")


class CancelledSpider(Attack):
    """One callback waits for something that is cancelled."""

    name = "cancelled"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(6):
            yield self.ask(f"/slow/{number}?seconds=0.0{number}")

    async def parse(self, response: Response, **kwargs: Any) -> Any:
        if "/slow/2" in response.url:
            cancelled: Deferred[None] = Deferred()
            asyncio.get_running_loop().call_soon(cancelled.cancel)
            await maybe_deferred_to_future(cancelled)
        yield page_item(response)


class RaisesBeforeStartSpider(Attack):
    """``start()`` is no generator, and raises as soon as it is called."""

    name = "raises_before_start"

    def start(self) -> Any:
        raise ValueError("nothing to begin with")


class PrioritiesSpider(Attack):
    """Priorities that no database's integers hold."""

    name = "priorities"

    async def start(self) -> AsyncIterator[Any]:
        for exponent in (0, 30, 60, 100):
            yield self.ask(f"/leaf/high{exponent}", priority=10**exponent)
            yield self.ask(f"/redirect/{exponent}", priority=-(10**exponent))


class OtherHost:
    """Sends one page of a host to another host, before its robots.txt is asked for."""

    def process_request(self, request: Request) -> Request | None:
        if "localhost" in request.url and "moved" in request.url:
            return request.replace(url=request.url.replace("localhost", "127.0.0.1"))
        return None


class MovedHostSpider(Attack):
    name = "moved_host"
    custom_settings = {"DOWNLOADER_MIDDLEWARES": {OtherHost: 50}, "ROBOTSTXT_OBEY": True}

    async def start(self) -> AsyncIterator[Any]:
        for name in ("moved", "a", "b", "c"):
            yield Request(self.url(f"/leaf/{name}").replace("127.0.0.1", "localhost"))


class Pings:
    """Asks for the same page once more after each response, from a handler of a signal."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        crawler.signals.connect(self.response_received, signals.response_received)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Pings:
        return cls(crawler)

    def response_received(self, response: Response, request: Request, spider: Any) -> None:
        if "ping" not in response.url:
            assert self.crawler.engine is not None
            url = response.urljoin("/leaf/ping")
            self.crawler.engine.crawl(Request(url, dont_filter=True, callback=spider.parse_ping))


class PingsSpider(Attack):
    name = "pings"
    custom_settings = {"EXTENSIONS": {**RECORDED, Pings: 500}}

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield self.ask(link)

    def parse_ping(self, response: Response) -> Iterator[Any]:
        yield {"ping": response.status}


class RaisesForBad(LogFormatter):
    def scraped(self, item: Any, response: Any, spider: Any) -> Any:
        if "bad" in item:
            raise ValueError("a bad item")
        return super().scraped(item, response, spider)


class SlowForGood:
    async def process_item(self, item: Any) -> Any:
        if "bad" not in item:
            await asyncio.sleep(0.1)
        return item


class BadLogSpider(Attack):
    """An item that cannot be logged is not scraped; the others of its page are."""

    name = "bad_log"
    custom_settings = {"LOG_FORMATTER": RaisesForBad, "ITEM_PIPELINES": {SlowForGood: 1}}

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/leaf/1")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for field in ("good", "bad", "better"):
            yield {field: response.url.rpartition("/")[2]}


class NoText(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise AttributeError("no text")


class RaisesNoText:
    def process_request(self, request: Request) -> None:
        if "download" in request.url:
            raise NoText

    def process_item(self, item: Any) -> Any:
        if "pipeline" in item["path"]:
            raise NoText
        return item


class NoTextSpider(Attack):
    """Errors whose text cannot be had, wherever one may come from."""

    name = "no_text"
    custom_settings = {
        "DOWNLOADER_MIDDLEWARES": {RaisesNoText: 600},
        "ITEM_PIPELINES": {RaisesNoText: 1},
    }

    async def start(self) -> AsyncIterator[Any]:
        for name in ("callback", "download", "pipeline", "good"):
            yield self.ask(f"/leaf/{name}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        if "callback" in response.url:
            raise NoText


class Forks:
    """Forks a process when the spider opens; it ends as a Python program does."""

    def open_spider(self) -> None:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            atexit._run_exitfuncs()
            os._exit(0)

    def process_item(self, item: Any) -> Any:
        return item


class ForksSpider(Attack):
    name = "forks"
    custom_settings = {"ITEM_PIPELINES": {Forks: 1}}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield self.ask(f"/slow/{number}?seconds=0.5")


class SlowPipeline:
    async def process_item(self, item: Any) -> Any:
        await asyncio.sleep(1)
        return item


class StartItemsSpider(Attack):
    """Items of ``start()`` that stay in a pipeline for a second."""

    name = "start_items_in_pipelines"
    custom_settings = {"ITEM_PIPELINES": {SlowPipeline: 1}}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield {"number": number}


class OutageAfterFirstPage:
    """The store goes out for good when the first page has come."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> OutageAfterFirstPage:
        crawler.signals.connect(
            cls(crawler).response_received, signals.response_received, weak=False
        )
        return cls(crawler)

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    def response_received(self) -> None:
        from scrapy_resume.extensions import run_of

        run = run_of(self.crawler)
        assert run is not None
        job: Any = run.job
        job.commit = job.close = self.refuse

    def refuse(self, _: object) -> None:
        from scrapy_resume.errors import StoreUnavailableError

        raise StoreUnavailableError("The store is out.")


class ManyRequestsSpider(Attack):
    """A callback that has to wait for room."""

    name = "many_requests"
    custom_settings = {"EXTENSIONS": {OutageAfterFirstPage: 1}}

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/leaf/1")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for number in range(5_000):
            yield self.ask(f"/leaf/{number}")


class TwoFormsSpider(Attack):
    """Asks for a page by a lambda or, with ``-a form=method``, by a method."""

    name = "two_forms"
    form = "lambda"

    async def start(self) -> AsyncIterator[Any]:
        by_lambda = self.form == "lambda"
        callback = (lambda response: self.page(response)) if by_lambda else self.page
        yield self.ask("/redirect/1?hops=2", callback=callback)

    def page(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        for _ in range(2):
            yield self.ask("/leaf/shared", dont_filter=True)
            yield self.ask("/leaf/own", callback=lambda r: self.parse(r), dont_filter=True)
        yield self.ask("/slow/1?seconds=1.5", callback=lambda r: self.parse(r))


class AsksForEach:
    """Asks for a page for each item of ``start()``."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> AsksForEach:
        return cls(crawler)

    def process_item(self, item: Any) -> Any:
        if "number" in item:
            spider: Any = self.crawler.spider
            assert self.crawler.engine is not None
            self.crawler.engine.crawl(spider.ask("/slow/1?seconds=0.5", dont_filter=True))
        return item


class EqualStartItemsSpider(Attack):
    name = "equal_start_items"
    custom_settings = {"ITEM_PIPELINES": {AsksForEach: 1}}

    async def start(self) -> AsyncIterator[Any]:
        for number in (1, 1, 1, 2):
            yield {"number": number}
