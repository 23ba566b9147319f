"""What a measured process notes about itself."""

from __future__ import annotations

import time

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_resume.store.sqlite import tables as sqlite_tables
from scrapy_resume.store.transaction.units import UnitTables


class StartUpCost:
    """The stat ``bench/start_up_cpu_seconds``: what was used up when the spider opened."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        crawler.signals.connect(self.spider_opened, signals.spider_opened)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> StartUpCost:
        return cls(crawler)

    def spider_opened(self) -> None:
        assert self._crawler.stats is not None
        self._crawler.stats.set_value("bench/start_up_cpu_seconds", time.process_time())


class UncountedUnits:
    """With the setting ``BENCH_UNCOUNTED_UNITS`` a crawl keeps no counts of units, on SQLite: what
    they cost is what this saves."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> UncountedUnits:
        if not crawler.settings.getbool("BENCH_UNCOUNTED_UNITS"):
            raise NotConfigured
        sqlite_tables.settle_units = _forget_units
        return cls()


def _forget_units(tables: UnitTables, now: float) -> None:
    tables.units.take()
