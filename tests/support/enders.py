"""Spiders that end themselves, or stay open, for ``scrapy runspider -a how=…``."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.exceptions import CloseSpider, DontCloseSpider
from scrapy.http import Response

from scrapy_resume import signals as resume_signals

PAGES = 3


class EndingSpider(Spider):
    """A chain of pages. ``how``: what happens at its end, or on its second page."""

    name = "ending"
    how: str
    site: str

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> EndingSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        if spider.how != "last page":
            crawler.signals.connect(spider.idle, signals.spider_idle)
        crawler.signals.connect(spider.note_end, resume_signals.job_closed)
        if spider.how == "dies":
            crawler.signals.connect(spider.die, signals.engine_stopped)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/leaf/1")

    def note_end(self, job: str, **details: Any) -> None:
        with open("ends.txt", "a") as file:
            file.write(f"{job}\n")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def idle(self) -> None:
        if self.how == "when idle":
            raise CloseSpider("all_done")
        if self.how == "engine":
            self.crawler.engine.close_spider(self, "all_done")
        if self.how == "stays open":
            os.kill(os.getpid(), signal.SIGTERM)
            raise DontCloseSpider
        if self.how == "cancels":
            raise CloseSpider("cancelled")
        if self.how == "asks for more":
            self.how = "when idle"
            self.crawler.engine.crawl(Request(f"{self.site}/leaf/20"))

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield {"title": number}
        if number < PAGES:
            yield response.follow(f"/leaf/{number + 1}")
        if (self.how, number) in (("last page", PAGES), ("too early", PAGES - 1)):
            raise CloseSpider("all_done")
