"""The add-on: one line in ADDONS wires everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.run.components import install, refuse_other_scheduler
from scrapy_resume.run.open_job import opens_job
from scrapy_resume.run.refuse import refuse

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings


class Addon:
    """``ADDONS = {"scrapy_resume.Addon": 500}`` makes every crawl a job that survives.

    Only ``scrapy crawl``, ``runspider`` and crawls by API are touched; for ``fetch``,
    ``shell``, ``parse`` and ``check`` the settings stay as they are.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Addon:
        """What Scrapy calls."""
        return cls(crawler)

    def update_settings(self, settings: BaseSettings) -> None:
        """Wire the components. Raises ``ConfigurationError``, told in one line, if it cannot."""
        if not opens_job(self._crawler) or not settings.getbool("RESUME_ENABLED", True):
            return
        try:
            refuse_other_scheduler(settings)
        except ConfigurationError as error:
            refuse(self._crawler, error)
            raise
        install(settings)
