"""A crawl that cannot begin: one line, exit code 1, nothing touched."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from scrapy_resume.errors import ResumeError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger("scrapy_resume")

_UNHANDLED = "Unhandled error in Deferred"


class _WithoutRefusals(logging.Filter):
    """Drops the tracebacks of refusals: each has been told in one line already.

    Scrapy leaves a crawl's exception to the event loop, which reports it as never retrieved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told: list[ResumeError] = []

    def filter(self, record: logging.LogRecord) -> bool:
        exception = record.exc_info[1] if record.exc_info else None
        if any(exception is refusal for refusal in self.told):
            return False
        # Twisted writes this heading as a record of its own, before the traceback.
        return not (self.told and record.getMessage().strip().startswith(_UNHANDLED))


_filter = _WithoutRefusals()


def refuse(crawler: Crawler, error: ResumeError) -> None:
    """Tell why the crawl cannot begin, and have the process end with exit code 1.

    The caller raises the error.
    """
    for name in ("asyncio", "twisted"):
        logging.getLogger(name).addFilter(_filter)
    _filter.told.append(error)
    logger.error("%s", error)
    settings = crawler.settings
    if not settings.getbool("LOG_ENABLED") or settings.get("LOG_FILE"):
        print(f"scrapy-resume: {error}", file=sys.stderr)
    # A crawler without a spider is what Scrapy's commands take for a failed start.
    crawler.spider = None
