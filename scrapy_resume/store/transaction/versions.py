"""Since which version of the schema something is kept: for those who read what an older version
left, before an owner brings it to this one's.

The numbers hold for the schemas of both stores.
"""

from __future__ import annotations

from typing import Final

from scrapy_resume.errors import SchemaTooOldError
from scrapy_resume.model import JobKey

COUNTS_UNITS: Final = 2
KEEPS_EVENTS: Final = 3
KEEPS_METRICS: Final = 3
COUNTS_MINUTES: Final = 4
LISTS_REQUESTS: Final = 5


def check_lists(key: JobKey, version: int) -> None:
    """Raises ``SchemaTooOldError`` for a job that only an older version has crawled."""
    if version < LISTS_REQUESTS:
        raise SchemaTooOldError(
            f"{key} was last crawled by an older version of scrapy-resume: its requests can be "
            "listed when its crawl has gone on"
        )
