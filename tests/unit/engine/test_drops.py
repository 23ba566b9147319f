"""Requests that are not scheduled are reported with Scrapy's log lines, stats and signal."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from scrapy_resume.engine.drops import ScrapyDrops

REQUEST = Request("http://shop.test/")


def opened(**settings: Any) -> Crawler:
    crawler = get_crawler(settings_dict=settings)
    crawler.spider = Spider.from_crawler(crawler, name="books")
    return crawler


def test_a_duplicate_is_counted_and_only_the_first_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crawler = opened()
    drops = ScrapyDrops(crawler)
    with caplog.at_level(logging.DEBUG):
        drops.log_duplicate(REQUEST)
        drops.log_duplicate(REQUEST)
    lines = [record for record in caplog.records if "Filtered duplicate" in record.getMessage()]
    assert len(lines) == 1
    assert crawler.stats is not None
    assert crawler.stats.get_value("dupefilter/filtered") == 2


def test_with_dupefilter_debug_each_duplicate_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    drops = ScrapyDrops(opened(DUPEFILTER_DEBUG=True))
    with caplog.at_level(logging.DEBUG):
        drops.log_duplicate(REQUEST)
        drops.log_duplicate(REQUEST)
    lines = [record for record in caplog.records if "Filtered duplicate" in record.getMessage()]
    assert len(lines) == 2


def test_a_dropped_request_is_sent_with_the_spider() -> None:
    crawler = opened()
    heard: list[tuple[Request, Spider]] = []

    def dropped(request: Request, spider: Spider) -> None:
        heard.append((request, spider))

    crawler.signals.connect(dropped, signals.request_dropped)
    ScrapyDrops(crawler).send_dropped(REQUEST)
    assert heard == [(REQUEST, crawler.spider)]
