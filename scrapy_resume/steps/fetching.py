"""The ``fetch`` that steps take: a coroutine function for coroutines, a blocking one in threads."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from scrapy import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.http import Response

    from scrapy_resume.ports.clock import Clock


class Download(Protocol):
    """Downloads the requests of steps: here, or by the worker that owns the host."""

    async def download(self, request: Request) -> Response:
        """The response, whatever its status. The request is not used elsewhere. Raises what the
        download raises."""


class Fetch:
    """``await fetch(url_or_request)`` in a coroutine function."""

    def __init__(self, download: Download) -> None:
        self._download = download

    async def __call__(self, target: str | Request) -> Response:
        """Download a page as politely as the crawl does. Returns the response, whatever its status.

        Raises what Scrapy's downloader raises, and ``IgnoreRequest`` if robots.txt or another
        middleware forbids it.
        """
        request = target.copy() if isinstance(target, Request) else Request(target)
        return await self._download.download(request)


class BlockingFetch:
    """``fetch(url_or_request)`` in a thread: returns when the response is there."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock

    def __call__(self, target: str | Request) -> Response:
        """As ``Fetch``."""
        response: Future[Response] = Future()
        self._clock.post(self._start, target, response)
        return response.result()

    def _start(self, target: str | Request, response: Future[Response]) -> None:
        self._clock.spawn(self._answer(target, response.set_result, response.set_exception))

    async def _answer(
        self,
        target: str | Request,
        answer: Callable[[Response], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        try:
            response = await self._fetch(target)
        except BaseException as error:  # it belongs to the step, which runs in another thread
            fail(error)
        else:
            answer(response)
