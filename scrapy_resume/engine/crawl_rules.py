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
    return lambda: getattr(spider, "_rules", ())
