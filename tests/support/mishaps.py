"""A spider to which everything happens that can happen to a request, for ``scrapy runspider``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider, signals
from scrapy.downloadermiddlewares.retry import RetryMiddleware, get_retry_request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, Response
from twisted.python.failure import Failure


class MishapSpider(Spider):
    """Asks for the paths in ``-a paths=/leaf/1,/missing/2`` of the site at ``-a site=URL``.

    What a path's query says is done with it: ``?do=raise`` in the callback, ``?do=errback``,
    ``?do=lambda``, ``?do=offsite`` or ``?do=badkey`` for what it yields, ``?do=again`` for a retry
    of its own, ``?do=refuse`` for what it redirects to, ``?do=first`` for what comes first in every
    run, ``?do=post`` for a POST, of which the item has the body.
    """

    name = "mishaps"
    site: str
    paths: str
    below = "/leaf/below"
    allowed_domains = ("127.0.0.1",)

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> MishapSpider:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.refuse, signals.request_scheduled)
        return spider

    def refuse(self, request: Request) -> None:
        if "do=refuse" in request.meta.get("redirect_urls", [""])[0]:
            raise IgnoreRequest("not wanted")

    async def start(self) -> AsyncIterator[Any]:
        for path in self.paths.split(","):
            url = urljoin(self.site, path)
            yield Request(
                url,
                errback=self.failed if "do=errback" in path else None,
                meta={"resume_every_run": True} if "do=first" in path else None,
                method="POST" if "do=post" in path else "GET",
                body=f"a body for {path}" if "do=post" in path else None,
            )

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        if "do=again" in response.url and "retry_times" not in response.meta:
            assert response.request is not None
            yield get_retry_request(response.request, spider=self)
            return
        if "do=post" in response.url:
            assert response.request is not None
            yield {"title": response.request.body.decode()}
            return
        yield {"title": response.css("title::text").get()}
        if "do=raise" in response.url:
            raise ValueError(f"{response.url} is odd")
        if "do=lambda" in response.url:
            leaf = self.site + self.below
            yield Request(leaf, callback=lambda inner: self.parse(inner))
        if "do=badkey" in response.url:
            yield response.follow(self.below, meta={"resume_key": 10**5_000})
        if "do=offsite" in response.url:
            yield Request("http://elsewhere.invalid/page/1")

    def failed(self, failure: Failure) -> Iterator[Any]:
        yield {"title": type(failure.value).__name__}


class Breaks:
    """A pipeline that cannot do with one of the items."""

    def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["title"] == "leaf 1":
            raise KeyError("no price")
        return item


class Picky(RetryMiddleware):
    """Does not believe a page before it has come three times."""

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        if b"leaf 1" in response.body and request.meta.get("retry_times", 0) < 2:
            return self._retry(request, "not believed") or response
        return response


class Answers:
    """A downloader middleware: what the site answers is said by the setting ``ANSWERS``, words of
    the form ``/leaf/2=500``. Instead of a status, ``die`` kills the process, and ``hang`` never
    answers."""

    def __init__(self, answers: str) -> None:
        self._answers = dict(word.split("=") for word in answers.split())

    @classmethod
    def from_crawler(cls, crawler: Any) -> Answers:
        return cls(crawler.settings.get("ANSWERS", ""))

    async def process_request(
        self, request: Request, spider: Spider | None = None
    ) -> Response | None:
        answer = self._answers.get(urlsplit(request.url).path)
        if answer == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if answer == "hang":
            await asyncio.Event().wait()
        return None if answer is None else HtmlResponse(request.url, int(answer), body=b"<html>")
