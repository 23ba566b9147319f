"""What stands for the format ``sql`` where Scrapy wants a class that writes files."""

from __future__ import annotations

from typing import Any

from scrapy.exporters import BaseItemExporter

from scrapy_resume.errors import ConfigurationError


class DatabaseExporter(BaseItemExporter):
    """Databases are no files: the crawl that has such a feed opens a job."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Raises ``ConfigurationError``."""
        raise ConfigurationError(
            "a feed of the format sql is a database, and is written by the job of a crawl: set"
            ' ADDONS = {"scrapy_resume.Addon": 500}, and RESUME_ENABLED not to False'
        )
