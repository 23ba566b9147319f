"""Spiders whose code raises what Scrapy does not catch, at each place where it calls them.

Each page is a case: the place at which something is raised, and what. With ``-a ordinary=1`` it is
a ``ValueError`` everywhere, which Scrapy catches: that is what the others are held against.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.exporters import JsonLinesItemExporter
from scrapy.http import Response
from scrapy.utils.asyncio import is_asyncio_available, sleep
from scrapy.utils.request import RequestFingerprinter

PLACES = [
    "pipeline",
    "async pipeline",
    "start pipeline",
    "filter",
    "exporter",
    "callback",
    "coroutine",
    "generator",
    "async generator",
    "errback",
    "coroutine errback",
    "no errback",
    "process_spider_input",
    "process_spider_output",
    "process_spider_exception",
    "spider_error",
    "process_request",
    "process_response",
    "process_exception",
    "fingerprint",
    "memory",
    "many",
]
SIGNALS = {
    "request_reached_downloader": signals.request_reached_downloader,
    "response_downloaded": signals.response_downloaded,
    "request_left_downloader": signals.request_left_downloader,
    "response_received": signals.response_received,
    "request_scheduled": signals.request_scheduled,
    "redirect": signals.request_scheduled,
}
ASYNC = (
    "async pipeline",
    "coroutine",
    "async generator",
    "coroutine errback",
    "process_spider_output",
    "process_response",
)
"""Places at which a task can be cancelled."""
UNSUPPORTED = ("errback", "coroutine errback", "process_exception")
MANY_ITEMS = 1_050
"""More than a request's items that are kept in memory."""


class OwnError(BaseException):
    """An error of the user's own that is no ``Exception``."""


ERRORS = {
    "cancelled": asyncio.CancelledError,
    "exit": GeneratorExit,
    "own": OwnError,
    "ordinary": ValueError,
    "interrupt": KeyboardInterrupt,
}


def cases_of(errors: list[str]) -> Iterator[tuple[str, str]]:
    """Place and error of each case."""
    for place in [*PLACES, *SIGNALS]:
        for error in errors:
            is_possible = error != "task" or place in ASYNC
            if is_possible and (place != "many" or error == "own"):
                yield place, error


def place_of(case: str) -> str:
    return case.partition("/")[0]


def case_of(request: Request) -> str:
    return str(request.meta.get("case", ""))


class Raiser:
    """Raises the error of a case at its place."""

    ordinary = False
    armed = True

    def now(self, place: str, case: str) -> None:
        name = "ordinary" if self.ordinary else case.partition("/")[2]
        if self.armed and place_of(case) == place and name != "task":
            raise ERRORS[name](case)

    async def later(self, place: str, case: str) -> None:
        if place_of(case) != place:
            return
        await sleep(0.01)
        self.now(place, case)
        if is_asyncio_available():
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0.01)


raiser = Raiser()


class Pipeline:
    def process_item(self, item: Any) -> Any:
        case, is_first = item["case"], item["what"] in ("first", "start")
        if is_first and place_of(case) == "async pipeline":
            return self._later(item)
        if is_first or item["what"] == "item 600":
            for place in ("pipeline", "start pipeline", "many"):
                raiser.now(place, case)
        return item

    async def _later(self, item: Any) -> Any:
        await raiser.later("async pipeline", item["case"])
        return item


class SpiderMiddleware:
    def process_spider_input(self, response: Response) -> None:
        raiser.now("process_spider_input", case_of(response.request))

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        async for output in result:
            yield output
            await raiser.later("process_spider_output", case_of(response.request))

    def process_spider_exception(self, response: Response, exception: Exception) -> None:
        raiser.now("process_spider_exception", case_of(response.request))


class DownloaderMiddleware:
    def process_request(self, request: Request) -> None:
        raiser.now("process_request", case_of(request))

    async def process_response(self, request: Request, response: Response) -> Any:
        case = case_of(request)
        await raiser.later("process_response", case)
        raiser.now("no errback", case)
        if place_of(case) == "redirect" and not request.meta.get("redirected"):
            return request.replace(
                url=f"{request.url}/2", meta={**request.meta, "redirected": True}
            )
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        raiser.now("process_exception", case_of(request))


class Filter:
    def __init__(self, options: Any) -> None:
        """Scrapy passes the feed's options."""

    def accepts(self, item: Any) -> bool:
        if item["what"] == "first":
            raiser.now("filter", item["case"])
        return True


class Exporter(JsonLinesItemExporter):
    def export_item(self, item: Any) -> None:
        if item["what"] == "first":
            raiser.now("exporter", item["case"])
        super().export_item(item)


class Fingerprinter(RequestFingerprinter):
    def fingerprint(self, request: Request) -> bytes:
        if request.url.endswith("/child"):
            raiser.now("fingerprint", case_of(request))
        return super().fingerprint(request)


class UncaughtSpider(Spider):
    """A page for each place and error."""

    name = "uncaught"
    custom_settings = {
        "ITEM_PIPELINES": {Pipeline: 100},
        "SPIDER_MIDDLEWARES": {SpiderMiddleware: 543},
        "DOWNLOADER_MIDDLEWARES": {DownloaderMiddleware: 543},
        "FEED_EXPORTERS": {"uncaught": Exporter},
        "REQUEST_FINGERPRINTER_CLASS": Fingerprinter,
        "RETRY_ENABLED": False,
    }

    def __init__(self, errors: str = "own", ordinary: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.errors = errors.split(",")
        raiser.ordinary = bool(ordinary)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> UncaughtSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.handlers = [spider.handler(name) for name in SIGNALS]
        for handler, signal in zip(spider.handlers, SIGNALS.values(), strict=True):
            crawler.signals.connect(handler, signal)
        crawler.signals.connect(spider.error_handled, signals.spider_error)
        return spider

    def handler(self, name: str) -> Any:
        def handle(request: Request) -> None:
            is_child = request.url.endswith("/child")
            wanted = {"request_scheduled": is_child, "redirect": "redirected" in request.meta}
            if wanted.get(name, not is_child):
                raiser.now(name, case_of(request))

        return handle

    def error_handled(self, response: Any) -> None:
        raiser.now("spider_error", case_of(response.request))

    async def start(self) -> AsyncIterator[Any]:
        callbacks = {
            "async generator": self.parse_async,
            "coroutine": self.parse_coroutine,
            "memory": self.parse_memory,
            "many": self.parse_many,
        }
        for place, error in cases_of(self.errors):
            case = f"{place}/{error}"
            if place == "start pipeline":
                yield {"case": case, "what": "start"}
                continue
            scheme = "nosuch://x/" if place in UNSUPPORTED else "data:"
            yield Request(
                f"{scheme},{case.replace(' ', '-')}",
                callback=callbacks.get(place, self.parse),
                errback=None if place == "no errback" else self.failed,
                meta={"case": case},
            )

    def outputs(self, case: str) -> Iterator[Any]:
        yield {"case": case, "what": "first"}
        url = f"data:,{case.replace(' ', '-')}/child"
        yield Request(url, callback=self.parse_child, meta={"case": case})
        yield {"case": case, "what": "last"}

    def parse(self, response: Response, **kwargs: Any) -> Any:
        case = case_of(response.request)
        raiser.now("callback", case)
        if place_of(case) in ("process_spider_exception", "spider_error"):
            raise ValueError(case)
        return self.generate(case)

    def generate(self, case: str) -> Iterator[Any]:
        for number, output in enumerate(self.outputs(case)):
            if number == 2:
                raiser.now("generator", case)
            yield output

    async def parse_async(self, response: Response) -> AsyncIterator[Any]:
        for number, output in enumerate(self.outputs(case_of(response.request))):
            if number == 2:
                await raiser.later("async generator", case_of(response.request))
            yield output

    async def parse_coroutine(self, response: Response) -> list[Any]:
        await raiser.later("coroutine", case_of(response.request))
        return list(self.outputs(case_of(response.request)))

    def parse_child(self, response: Response) -> Iterator[Any]:
        yield {"case": case_of(response.request), "what": "child"}

    def parse_memory(self, response: Response) -> Iterator[Any]:
        case = case_of(response.request)

        def child(inner: Response) -> Any:
            raiser.now("memory", case)

        yield {"case": case, "what": "first"}
        yield response.request.replace(url=f"{response.url}/child", callback=child)
        yield {"case": case, "what": "last"}

    def parse_many(self, response: Response) -> Iterator[Any]:
        case = case_of(response.request)
        for number in range(MANY_ITEMS):
            yield {"case": case, "what": f"item {number}"}
        raiser.now("many", case)

    def failed(self, failure: Any) -> Any:
        case = case_of(failure.request)
        raiser.now("errback", case)
        return self.failed_later(case) if place_of(case) == "coroutine errback" else None

    async def failed_later(self, case: str) -> list[Any]:
        await raiser.later("coroutine errback", case)
        return []


class StartSpider(Spider):
    """``start()`` yields a page and an item; then it, or the item's pipeline, raises ``error``."""

    name = "interrupted_start"
    custom_settings = {"ITEM_PIPELINES": {Pipeline: 100}}
    error = ""
    place = "start"

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> StartSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.scheduled, signals.request_scheduled)
        return spider

    def scheduled(self, request: Request) -> None:
        if request.url == "data:,second":
            raiser.now("request_scheduled", f"{self.place}/{self.error}")

    async def start(self) -> AsyncIterator[Any]:
        raiser.ordinary = False
        raiser.armed = bool(self.error)
        yield Request("data:,page", meta={"case": "page/"})
        yield {"case": f"{self.place}/interrupt", "what": "start"}
        await sleep(0.2)
        raiser.now("start", f"{self.place}/{self.error}")
        yield Request("data:,second", meta={"case": "second/"})

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"case": case_of(response.request), "what": "page"}


class SurvivorSpider(Spider):
    """Its callback, pipeline and ``start()`` end as if nothing was, when they are cancelled."""

    name = "survivor"
    custom_settings = {"ITEM_PIPELINES": {"kinds.uncaught.SurvivingPipeline": 100}}
    patient = ""

    async def start(self) -> AsyncIterator[Any]:
        for page in ("callback", "pipeline"):
            yield Request(f"data:,{page}", meta={"case": page})

    async def parse(self, response: Response, **kwargs: Any) -> AsyncIterator[Any]:
        case = case_of(response.request)
        if case == "callback" and await survived(self):
            return
        yield {"case": case, "what": "first"}


class SurvivingPipeline:
    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> SurvivingPipeline:
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        if item["case"] == "pipeline" and await survived(self.crawler.spider):
            raise DropItem("cancelled")
        return item


async def survived(spider: Any) -> bool:
    """Whether the code was cancelled while it waited, which it does in a patient run."""
    if not spider.patient:
        return False
    spider.logger.info("Waits")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return True
    return False
