"""A spider with very many start requests, for ``scrapy runspider``.

``-a site=URL -a count=N -a kind=ordinary``: the pages take a second each, so that few of them
are fetched while all are admitted. It logs how far ``start()`` has come, with the largest
resident size of the process so far.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from scrapy import Request, Spider
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from scrapy_resume.store.sqlite import files as sqlite_files

STEP = 1_000
THE_END = "start() came to its end"
BUSY_SECONDS = "MANY_STARTS_BUSY_SECONDS"
"""In the environment: how long a commit waits for a locked file before it is refused."""

if BUSY_SECONDS in os.environ:
    setattr(sqlite_files, "BUSY_SECONDS", float(os.environ[BUSY_SECONDS]))  # noqa: B010 - Final


class Progress(NamedTuple):
    """How far ``start()`` had come, and the largest resident size until then."""

    yielded: int
    peak_bytes: int


def progress_of(log: str) -> list[Progress]:
    """What the spider has logged so far."""
    found = re.findall(r"yielded (\d+), peak (\d+) KiB", log)
    return [Progress(int(yielded), int(kibibytes) * 1024) for yielded, kibibytes in found]


class ManyStartsSpider(Spider):
    """``kind``: ``ordinary``, ``dont_filter``, or ``both`` in turn."""

    name = "many_starts"
    site: str
    count: str
    kind = "ordinary"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(int(self.count)):
            if number % STEP == 0:
                self.tell(number)
            yield Request(
                f"{self.site}/slow/{number}?seconds=1",
                dont_filter=self.kind == "dont_filter" or (self.kind == "both" and number % 2 == 0),
            )
        self.tell(int(self.count))
        self.logger.info(THE_END)

    def tell(self, yielded: int) -> None:
        kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.logger.info("yielded %d, peak %d KiB", yielded, kibibytes)

    def parse(self, response: Response, **kwargs: Any) -> None:
        """Nothing is wanted of it."""


class IgnoreAll:
    """A downloader middleware that makes short work of what is waiting."""

    def process_request(self, request: Request) -> None:
        raise IgnoreRequest("not wanted any more")
