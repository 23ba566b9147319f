"""Reports requests that are not scheduled as Scrapy does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.dupefilters import RFPDupeFilter
from scrapy.signals import request_dropped
from scrapy.utils.misc import build_from_crawler

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler


class ScrapyDrops:
    """See ``tracking.arrival_log.Drops``."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._dupefilter = build_from_crawler(RFPDupeFilter, crawler)

    def log_duplicate(self, request: Request) -> None:
        """See ``Drops``."""
        assert self._crawler.spider is not None
        self._dupefilter.log(request, self._crawler.spider)

    def send_dropped(self, request: Request) -> None:
        """See ``Drops``."""
        self._crawler.signals.send_catch_log(
            request_dropped, request=request, spider=self._crawler.spider
        )
