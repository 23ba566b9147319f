"""scrapy-deltafetch for Scrapy versions that want its output to be asynchronous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy_deltafetch import DeltaFetch


class AsyncDeltaFetch(DeltaFetch):  # type: ignore[misc]
    """What it does with each item and request is its own."""

    spider: Spider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> AsyncDeltaFetch:
        found: AsyncDeltaFetch = super().from_crawler(crawler)
        assert crawler.spider is not None
        found.spider = crawler.spider
        return found

    async def process_spider_output_async(
        self, response: Response, result: AsyncIterator[Any], spider: Spider | None = None
    ) -> AsyncIterator[Any]:
        async for one in result:
            for passed in self.process_spider_output(response, [one], self.spider):
                yield passed
