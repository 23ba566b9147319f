"""A spider whose pipeline and extension ask for pages themselves, for ``scrapy runspider``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import DontCloseSpider
from scrapy.http import Response


class AskingSpider(Spider):
    """Takes one page by name; ``spider_idle`` asks for two more, once."""

    name = "asking"
    site: str
    asked = False

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> AskingSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.ask, signals.spider_idle)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/leaf/1", meta={"resume_unit": "named"})
        yield {"title": "of start"}

    def ask(self) -> None:
        if not self.asked:
            self.asked = True
            self.crawler.engine.crawl(Request(f"{self.site}/leaf/10"))
            meta = {"resume_unit": "idle"}
            self.crawler.engine.crawl(Request(f"{self.site}/leaf/11", meta=meta))
            raise DontCloseSpider

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        if response.url.endswith("/leaf/1") and "retry_times" not in response.meta:
            assert response.request is not None
            yield get_retry_request(response.request, spider=self)
            return
        if response.url.endswith("/leaf/1"):
            yield {"title": "leaf 1"}
            yield Request(f"{self.site}/leaf/2", meta={"resume_unit": "other"})
            yield response.follow("/leaf/3", meta=response.meta)
        elif response.url.endswith(("/leaf/2", "/leaf/10", "/leaf/11")):
            yield response.follow(f"{response.url}0")


class Asks:
    """A pipeline that has a page crawled for an item."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Any) -> Asks:
        return cls(crawler)

    def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
        site = self.crawler.spider.site
        if item["title"] == "leaf 1":
            self.crawler.engine.crawl(Request(f"{site}/leaf/20"))
        return item
