"""A downloader that tells the site when it let a request go.

It is the downloader that keeps a host's delay. By the time a request has come to the site, the
event loop, a new connection and a busy machine have added to one what they did not add to the
next: requests of plain Scrapy that were let go 100 ms apart were seen to come 60 ms apart.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from scrapy import Request
from scrapy.core.downloader import Downloader, Slot
from twisted.internet.defer import Deferred

from tests.support.hosts_server import SENT_AT


class TellingDownloader(Downloader):
    def _wait_for_download(
        self, slot: Slot, request: Request, queue_dfd: Deferred[Any]
    ) -> Coroutine[Any, Any, None]:
        """Called just when the slot lets the request go; what it gives is run a little later."""
        request.headers[SENT_AT] = repr(time.monotonic())
        return super()._wait_for_download(slot, request, queue_dfd)
