"""The add-on: puts the components of this package into the settings of a crawl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.run.activation import opens_job
from scrapy_resume.run.components import install, refuse_other_scheduler
from scrapy_resume.run.refuse import refuse

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings


class Addon:
    """``ADDONS = {"scrapy_resume.Addon": 500}`` makes every crawl a resumable job.

    It affects ``scrapy crawl``, ``runspider`` and crawls started through Scrapy's API. For
    ``fetch``, ``shell``, ``parse`` and ``check`` the settings stay as they are.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Addon:
        """Build the add-on of one crawler."""
        return cls(crawler)

    def update_settings(self, settings: BaseSettings) -> None:
        """Install the components. Raises ``ConfigurationError``, which is logged in one line, if
        another scheduler is set."""
        if not opens_job(self._crawler):
            return
        try:
            refuse_other_scheduler(settings)
        except ConfigurationError as error:
            refuse(self._crawler, error)
            raise
        install(settings)
