"""What ``start()`` of a spider would request: without a job, and without fetching anything.

The spider's own crawl is set up, with its settings, add-ons and spider middlewares, but without
extensions, pipelines, feeds and downloads. What passes the spider middlewares is listed, and goes
no further.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request, signals
from scrapy.crawler import AsyncCrawlerProcess, CrawlerProcess
from scrapy.exceptions import IgnoreRequest
from scrapy.settings.default_settings import DUPEFILTER_CLASS, SCHEDULER
from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.errors import describe

if TYPE_CHECKING:
    from asyncio import Future

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings, Settings

_ABOVE_ALL: Final = 1_000
"""A priority above the command line's (40)."""

_NEXT_TO_ENGINE: Final = -(10**9)
"""The order of a spider middleware that sees what all others have passed on."""

_WITHOUT: Final = (
    *("EXTENSIONS", "EXTENSIONS_BASE", "ITEM_PIPELINES", "ITEM_PIPELINES_BASE", "FEEDS"),
    "DOWNLOADER_MIDDLEWARES_BASE",
)
"""Settings of components that a dry run does without."""

TELL_SECONDS: Final = 0.02
"""The interval of ``scheduler_empty``."""

_ASYNCIO: Final = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"


@dataclass
class StartOutput:
    """What ``start()`` has yielded."""

    requests: int = 0
    duplicates: int = 0
    """Requests that are dropped, because equal ones came before."""
    items: int = 0
    complete: bool = False
    """``start()`` has come to its end."""
    error: str | None = None
    """The error that has ended it, if one has."""


def run_start(
    settings: Settings,
    spider: str,
    arguments: Mapping[str, str],
    listed: Callable[[Request], object],
    limit: int | None = None,
) -> StartOutput:
    """Run ``start()`` of a spider of the project. ``listed`` is called with each request.

    Ends after ``limit`` requests; ``None``: when ``start()`` ends. Blocks, and can be called once
    in a process: it runs an event loop. What is raised when the spider is made is raised here.
    """
    output = StartOutput()
    settings = settings.copy()
    settings.set("LOG_ENABLED", False, priority=_ABOVE_ALL)
    process = _process_of(settings)
    crawler = process.create_crawler(spider)
    _reduce(crawler.settings, _listing(output, listed, limit))
    failures: list[BaseException] = []
    started: Any = process.crawl(crawler, **arguments)
    if isinstance(process, AsyncCrawlerProcess):
        started.add_done_callback(lambda task: failures.extend(_error_of(task)))
    else:
        started.addErrback(lambda failure: failures.append(failure.value))
    process.start()
    if failures:
        raise failures[0]
    return output


def _process_of(settings: Settings) -> AsyncCrawlerProcess | CrawlerProcess:
    """The one that ``scrapy crawl`` uses."""
    is_asyncio = settings["TWISTED_REACTOR"] == _ASYNCIO
    if (is_asyncio and not settings.getbool("FORCE_CRAWLER_PROCESS")) or not settings.getbool(
        "TWISTED_REACTOR_ENABLED", True
    ):
        return AsyncCrawlerProcess(settings)
    return CrawlerProcess(settings)


def _reduce(settings: BaseSettings, middleware: type) -> None:
    """Leave of the crawl's settings, those of the spider included, what ``start()`` needs."""
    for name in _WITHOUT:
        settings.set(name, {}, priority=_ABOVE_ALL)
    own = dict(settings.getdict("SPIDER_MIDDLEWARES"))
    values: dict[str, object] = {
        "DOWNLOADER_MIDDLEWARES": {_NoDownloads: 0},
        "SPIDER_MIDDLEWARES": {**own, middleware: _NEXT_TO_ENGINE},
        "SCHEDULER": SCHEDULER,
        "DUPEFILTER_CLASS": DUPEFILTER_CLASS,
        "JOBDIR": None,
        "RESUME_ENABLED": False,
        "LOG_ENABLED": False,
    }
    for name, value in values.items():
        settings.set(name, value, priority=_ABOVE_ALL)


def _error_of(task: Future[Any]) -> list[BaseException]:
    error = None if task.cancelled() else task.exception()
    return [] if error is None else [error]


class _NoDownloads:
    """A downloader middleware that lets nothing pass: ``start()`` may download by itself."""

    def process_request(self, request: Request) -> None:
        raise IgnoreRequest(f"a dry run fetches nothing, and start() asks for {request.url}")


def _listing(output: StartOutput, listed: Callable[[Request], object], limit: int | None) -> type:
    """A spider middleware that takes what ``start()`` yields."""

    class Listing:
        def __init__(self, crawler: Crawler) -> None:
            self._crawler = crawler
            self._known: set[bytes] = set()

        @classmethod
        def from_crawler(cls, crawler: Crawler) -> Listing:
            return cls(crawler)

        async def process_start(self, start: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
            # A start() that waits until there is nothing to do is told so; no download does it.
            telling = create_looping_call(self._tell_that_nothing_waits)
            telling.start(TELL_SECONDS, now=False)
            try:
                async for entry in start:
                    if isinstance(entry, Request):
                        self._take(entry)
                    elif entry is not None:
                        output.items += 1
                    if limit is not None and output.requests >= limit:
                        return
                output.complete = True
            except Exception as error:  # of the spider: it is told, with what was listed before
                output.error = describe(error)
            finally:
                telling.stop()
            return
            yield  # makes this an asynchronous generator

        def _tell_that_nothing_waits(self) -> None:
            self._crawler.signals.send_catch_log(signals.scheduler_empty)

        def _take(self, request: Request) -> None:
            if not request.dont_filter:
                fingerprinter = self._crawler.request_fingerprinter
                assert fingerprinter is not None
                fingerprint = fingerprinter.fingerprint(request)
                if fingerprint in self._known:
                    output.duplicates += 1
                    return
                self._known.add(fingerprint)
            output.requests += 1
            listed(request)

    return Listing
