"""What has begun a crawl: a command of Scrapy, a web service that answers a request, a runner.

Scrapy tells its components nothing about it, so the call stack is asked, once for each crawler.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from scrapy import cmdline
from scrapy.commands import ScrapyCommand
from scrapy.crawler import CrawlerRunnerBase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from scrapy.crawler import Crawler

_WEB_SERVER: Final = "twisted.web.server"
"""Its frames are on the stack while it renders the answer to a request (scrapyrt, klein)."""


def command() -> ScrapyCommand | None:
    """The command of ``scrapy`` that is running in this thread. ``None``: there is none."""
    for frame in _stack():
        if frame.f_code is cmdline.execute.__code__:
            return next(
                (value for value in frame.f_locals.values() if isinstance(value, ScrapyCommand)),
                None,
            )
    return None


def answers_a_request() -> bool:
    """Whether the crawl is begun by a Twisted web server, to answer a request with it."""
    return any(frame.f_globals.get("__name__") == _WEB_SERVER for frame in _stack())


def runner(crawler: Crawler) -> CrawlerRunnerBase | None:
    """The runner or process that crawls with it, while its settings are applied. ``None``: it is
    crawled without one, so that nobody asks how it has ended."""
    for frame in _stack():
        owner = frame.f_locals.get("self")
        if isinstance(owner, CrawlerRunnerBase) and crawler in owner.crawlers:
            return owner
    return None


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
