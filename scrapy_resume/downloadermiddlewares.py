"""The downloader middleware: what is sent, and what comes back.

It has to be the innermost (the highest number), next to the downloader: what reaches it is
past robots.txt and all other middlewares.
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
    """Sees each attempt."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeDownloaderMiddleware:
        """Raises ``NotConfigured`` where no job is open."""
        run = run_of(crawler)
        if run is None:
            raise NotConfigured
        return cls(run)

    def process_request(self, request: Request, spider: Spider | None = None) -> None:
        """The request is about to be sent.

        Raises ``HeldBackError`` if its host was found to be in trouble since it was handed out.
        """
        self._run.parts.dispatcher.passed_robots(request)
        row = self._run.tracker.row_of(request)
        if row is not None and self._run.parts.breakers.must_wait(row) and _may_wait(request):
            raise HeldBackError(f"{request} waits for its host")
        if request.cookies:
            self._run.parts.cookies.changed(request.meta.get("cookiejar"))

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Response | Request:
        """The site has answered.

        Gives the request back if its host does not answer in earnest (5xx, 429) and it is to
        wait for that: no retry is counted.
        """
        self._run.note_cookies(request, response)
        row = self._run.tracker.row_of(request)
        if (
            row is not None
            and self._run.parts.breakers.answered(row, response)
            and _may_wait(request)
        ):
            return row.ask_again(request)
        return response

    def process_exception(
        self, request: Request, exception: Exception, spider: Spider | None = None
    ) -> Request | None:
        """No answer has come. Gives the request back if it is to wait for its host."""
        row = self._run.tracker.row_of(request)
        if row is None:
            return None
        if isinstance(exception, HeldBackError):
            self._run.parts.breakers.held_back(row)
            return row.ask_again(request)
        waits = self._run.parts.breakers.failed(row, exception) and _may_wait(request)
        return row.ask_again(request) if waits else None


def _may_wait(request: Request) -> bool:
    """Not if it is not to be retried, whatever happens."""
    return not request.meta.get("dont_retry", False)
