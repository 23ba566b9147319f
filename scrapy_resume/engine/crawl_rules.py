"""The compiled rules of a ``CrawlSpider``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scrapy.spiders import CrawlSpider, Spider


def rules_of(spider: Spider) -> Callable[[], Sequence[Any]] | None:
    """A function that returns the rules that a spider has now; ``None``: it is no spider with
    rules."""
    if not isinstance(spider, CrawlSpider):
        return None
    crawl_spider: Any = spider
    # They are compiled by CrawlSpider's constructor, which a spider of the user's may leave out.
    return lambda: crawl_spider._rules if hasattr(crawl_spider, "_rules") else ()
