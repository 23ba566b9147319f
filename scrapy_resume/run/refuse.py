"""Refuses a crawl: logs one line, and has the process end with exit code 1."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy_resume.errors import ResumeError
from scrapy_resume.stderr import tell

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

logger = logging.getLogger("scrapy_resume")

_UNHANDLED = "Unhandled error in Deferred"


class _WithoutRefusals(logging.Filter):
    """Drops the tracebacks of refusals, which ``refuse`` has logged in one line already.

    Scrapy leaves a crawl's exception to the event loop, which logs it as never retrieved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[ResumeError] = []

    def filter(self, record: logging.LogRecord) -> bool:
        exception = record.exc_info[1] if record.exc_info else None
        if any(exception is refusal for refusal in self.logged):
            return False
        # Twisted logs this heading as a record of its own, before the traceback.
        return not (self.logged and record.getMessage().strip().startswith(_UNHANDLED))


_filter = _WithoutRefusals()


def tell_without_log(settings: BaseSettings, line: str, *, beside_file: bool = False) -> None:
    """Print a line on standard error that nobody would see there otherwise: the log is switched
    off (LOG_ENABLED, ``--nolog``) or, with ``beside_file``, is written to a file."""
    if not settings.getbool("LOG_ENABLED") or (beside_file and settings.get("LOG_FILE")):
        tell(f"scrapy-resume: {line}")


def refuse(crawler: Crawler, error: ResumeError) -> None:
    """Log why the crawl cannot begin, and have the process end with exit code 1.

    Standard error gets the line too if the log is not written to it. The caller has to raise the
    error.
    """
    for name in ("asyncio", "twisted"):
        logging.getLogger(name).addFilter(_filter)
    _filter.logged.append(error)
    logger.error("%s", error)
    tell_without_log(crawler.settings, str(error), beside_file=True)
    # Scrapy's commands end with exit code 1 if the crawler has no spider.
    crawler.spider = None
