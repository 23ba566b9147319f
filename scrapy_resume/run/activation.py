"""Decides whether a crawl opens a job at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


def opens_job(crawler: Crawler) -> bool:
    """Whether the crawl opens a job: with ``scrapy crawl``, ``runspider`` or Scrapy's API, unless
    RESUME_ENABLED is false.

    ``fetch``, ``parse`` and ``check`` crawl with a ``start()`` of their own, and ``shell`` does
    not crawl at all.
    """
    if not crawler.crawling or not crawler.settings.getbool("RESUME_ENABLED", True):
        return False
    module: str = getattr(crawler.spidercls.start, "__module__", "")
    return not module.startswith("scrapy.commands.")
