"""The downloader middleware: reports each attempt to the circuit breaker of its host.

It has to be the innermost (the highest number), next to the downloader: a request that reaches it
has passed robots.txt and all other middlewares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.exceptions import NotConfigured

from scrapy_resume.errors import HeldBackError
from scrapy_resume.extensions import run_of

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from scrapy_resume.run.crawl_run import CrawlRun


class ResumeDownloaderMiddleware:
    """Sees each attempt; gives back those that have to wait for their host."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeDownloaderMiddleware:
        """Raises ``NotConfigured`` if the crawl opens no job."""
        run = run_of(crawler)
        if run is None:
            raise NotConfigured
        return cls(run)

    def process_request(self, request: Request, spider: Spider | None = None) -> None:
        """The request is about to be sent.

        Raises ``HeldBackError`` if the breaker of its host has opened since it was handed out.
        """
        self._run.parts.dispatcher.passed_robots(request)
        row = self._run.tracker.row_of(request)
        if row is not None and self._run.parts.breakers.must_wait(row) and _may_wait(request):
            raise HeldBackError(f"{request} waits for its host")
        if request.cookies:
            self._run.parts.cookies.mark_changed(request.meta.get("cookiejar"))

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Response | Request:
        """The site has answered.

        Returns the request in place of the response if the response is a failure of the host (5xx,
        429) and the request is to wait for the host. That does not count as a retry.
        """
        self._run.hooks.site_answers(request)
        self._run.response_received(request, response)
        row = self._run.tracker.row_of(request)
        if (
            row is not None
            and self._run.parts.breakers.answered(row, response)
            and _may_wait(request)
        ):
            return row.repeat_attempt(request)
        return response

    def process_exception(
        self, request: Request, exception: Exception, spider: Spider | None = None
    ) -> Request | None:
        """The attempt has failed. Returns the request if it is to wait for its host."""
        row = self._run.tracker.row_of(request)
        if row is None:
            return None
        if isinstance(exception, HeldBackError):
            self._run.parts.breakers.held_back(row)
            return row.repeat_attempt(request)
        waits = self._run.parts.breakers.failed(row, exception) and _may_wait(request)
        return row.repeat_attempt(request) if waits else None


def _may_wait(request: Request) -> bool:
    """Whether the request may be sent again: not with ``dont_retry``."""
    return not request.meta.get("dont_retry", False)
