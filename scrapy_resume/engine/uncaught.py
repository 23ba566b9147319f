"""Handles errors that Scrapy does not catch: those that are no ``Exception``.

Where Scrapy calls user code it catches ``Exception``. ``asyncio.CancelledError`` (a task that the
user cancels), ``GeneratorExit`` and a ``BaseException`` of the user's own pass: the request stays
in progress for ever, and the spider never closes. Here such an error is handled where Scrapy
handles an ``Exception``, with its log line, its stat and its signal. So it becomes the outcome of
the request that it belongs to, and the crawl goes on.

These private parts of Scrapy are wrapped; ``private_api`` verifies them when the spider opens:

- ``engine.scraper._wait_for_processing`` is the task of a response or failure, and
  ``engine.scraper._scrape`` what it calls: the spider middlewares and the callback or errback.
- ``engine.downloader._wait_for_download`` downloads, and sends the signals of a download.
- ``engine.crawl`` schedules a request, and sends ``request_scheduled``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy.utils.log import failure_to_exc_info, logformatter_adapter
from twisted.python.failure import Failure

from scrapy_resume.engine.current import current_row
from scrapy_resume.errors import StartInterruptedError, describe
from scrapy_resume.ports.clock import leaves_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.tracking.tracker import Tracker

logger = logging.getLogger("scrapy_resume")

_DROPPED: Final = "it waited for what nothing can resolve any more, since nothing refers to it"


class UncaughtErrors:
    """Turns errors that Scrapy does not catch into outcomes."""

    def __init__(
        self, tracker: Tracker, torn_down: Callable[[], bool], post: Callable[..., object]
    ) -> None:
        """``torn_down``: whether the event loop is being torn down, which cancels all tasks. What
        they raise then is a release, not an outcome. ``post``: has the event loop call a function;
        other threads may use it."""
        self._tracker = tracker
        self._torn_down = torn_down
        self._post = post
        self._engine: ExecutionEngine
        self._not_scheduled: tuple[Request, BaseException] | None = None
        """A request of ``start()``, and why it could not be scheduled."""

    def attach(self, engine: ExecutionEngine, is_start: Callable[[Request], bool]) -> None:
        """Wrap the methods of an engine whose parts were verified. ``is_start``: whether
        ``start()`` has yielded a request that the engine schedules now."""
        self._engine = engine
        scraper: Any = engine.scraper
        downloader: Any = engine.downloader
        engine_parts: Any = engine
        scraper._scrape = self._watch_scrape(scraper._scrape)
        scraper._wait_for_processing = self._watch_processing(scraper._wait_for_processing)
        downloader._wait_for_download = self._watch_download(downloader._wait_for_download)
        engine_parts.crawl = self._watch_crawl(engine_parts.crawl, is_start)

    def is_outcome(self, error: BaseException, *, own_context: bool = True) -> bool:
        """Whether an error ends what has raised it; otherwise it has to be raised again.

        ``own_context``: the code that raised runs in the context that it was called in. When the
        garbage collector closes a coroutine that nothing can resume any more, the coroutine gets
        ``GeneratorExit`` in the context of other code, perhaps in another thread.
        """
        if leaves_event_loop(error) or self._torn_down():
            return False
        return own_context or not isinstance(error, GeneratorExit)

    def ends_start(self, error: BaseException) -> bool:
        """Whether an error that ``start()`` has raised ends it. The engine cancels it when it
        stops: that is no error."""
        return self._engine.running and self.is_outcome(error)

    def _watch_scrape(self, scrape: Callable[..., Any]) -> Callable[..., Any]:
        """An error that leaves Scrapy's own handling of errors is the outcome. Scrapy logs it."""

        async def watched(result: Any, request: Request) -> None:
            try:
                await scrape(result, request)
            except Exception as error:
                row = self._tracker.row_of(request)
                if row is not None:
                    self._tracker.callback_failed(row, error)
                raise

        return watched

    def _watch_processing(self, process: Callable[..., Any]) -> Callable[..., Any]:
        # It has to be the task itself: a GeneratorExit that a future raises closes all coroutines
        # below the task, whatever they do with it.
        async def watched(result: Any, request: Request, waiter: Any) -> None:
            row = self._tracker.row_of(request)
            current_row.set(row)
            try:
                await process(result, request, waiter)
            except BaseException as error:
                own_context = current_row.get() is row
                if waiter.called:
                    raise
                if self.is_outcome(error, own_context=own_context):
                    self._end_request(error, result, request, waiter)
                    return
                if not own_context:
                    self._post(self._end_request, GeneratorExit(_DROPPED), result, request, waiter)
                raise
            finally:
                _let_go(result)

        return watched

    def _end_request(
        self, error: BaseException, result: Any, request: Request, waiter: Any
    ) -> None:
        """An error has ended the processing of a response or failure, and with it the request."""
        if isinstance(result, Failure) and error is result.value:
            self._log_download_error(result, request)
        else:
            self.handle(error, request, result)
        if not waiter.called:
            waiter.callback(None)

    def handle(self, error: BaseException, request: Request, response: Any) -> None:
        """Handle an error as Scrapy handles an ``Exception`` of a callback."""
        scraper: Any = self._engine.scraper
        try:
            failure = Failure(error)  # type: ignore[no-untyped-call]
            scraper.handle_spider_error(failure, request, response)
        except BaseException as second:
            if not self.is_outcome(second):
                raise
            logger.error("The error of %s could not be handled", request, exc_info=second)

    def _log_download_error(self, failure: Failure, request: Request) -> None:
        """A download has failed, and there is no errback that handles it."""
        crawler = self._engine.crawler
        assert crawler.spider is not None
        log = crawler.logformatter.download_error(failure, request, crawler.spider)
        if log is not None:
            exc_info = failure_to_exc_info(failure)
            logger.log(*logformatter_adapter(log), exc_info=exc_info)

    def _watch_download(self, wait: Callable[..., Any]) -> Callable[..., Any]:
        def watched(download_slot: Any, request: Request, waiter: Any) -> Any:
            # Called at once: a downloader of the user's may do more here than make a coroutine.
            return end_with_outcome(wait(download_slot, request, waiter), request, waiter)

        async def end_with_outcome(download: Any, request: Request, waiter: Any) -> None:
            row = self._tracker.row_of(request)
            current_row.set(row)
            try:
                await download
            except BaseException as error:
                own_context = current_row.get() is row
                if waiter.called or not self.is_outcome(error, own_context=own_context):
                    raise
                waiter.errback(Failure(error))  # type: ignore[no-untyped-call]

        return watched

    def _watch_crawl(
        self, crawl: Callable[..., Any], is_start: Callable[[Request], bool]
    ) -> Callable[..., Any]:
        def watched(request: Request) -> None:
            try:
                crawl(request)
            except BaseException as error:
                self._tracker.not_scheduled(request, error)
                if (
                    isinstance(error, Exception)
                    or not is_start(request)
                    or not self.is_outcome(error)
                ):
                    raise
                self._not_scheduled = request, error

        return watched

    def check_start(self) -> None:
        """Raises ``StartInterruptedError`` if the request that ``start()`` has yielded last could
        not be scheduled. To be called in ``start()``: the engine has no error of its own for it."""
        if self._not_scheduled is not None:
            (request, error), self._not_scheduled = self._not_scheduled, None
            raise StartInterruptedError(
                f"{request} of start() could not be scheduled: {describe(error)}"
            ) from error


def absorb(error: BaseException) -> None:
    """The running task goes on after ``error``, even if that is its own cancellation."""
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # the reactor is not asyncio's
            return
        uncancel = getattr(task, "uncancel", None)  # Python 3.11
        if uncancel is not None:
            uncancel()


def _let_go(response: Any) -> None:
    """Nobody works on a response any more: it need not wait for the garbage collector.

    A response keeps the selector of its page, and the selector the response: of each page the body
    and its tree would stay, with some hundred others. Whoever has kept the response and asks it for
    its selector gets a new one.
    """
    if getattr(response, "_cached_selector", None) is not None:
        response._cached_selector = None
