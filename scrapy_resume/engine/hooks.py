"""Reports to the tracker what the engine does with each request.

Scrapy has no signal for a request that is finished. These private parts are wrapped, on the
instances of one crawl; ``private_api`` verifies them when the spider opens:

- ``engine._slot.inprogress``, the set of requests that the engine holds. A request is in it
  from its hand-out until its download has ended, its callback or errback is exhausted, every
  request that was yielded is scheduled and every item has passed the pipelines; a retry or
  redirect is scheduled before its predecessor leaves the set. So a request's absence proves
  that Scrapy is done with it.
- ``engine._download``: a request that is scheduled while another one is downloaded is a child of
  that one.
- ``engine.downloader.fetch``: a Request that it returns continues the one that was given.
- ``engine.downloader._process_queue``: the last step before a request is sent. A slot's queue stays
  as it is while this worker does not know whether its leases are its own (``LeaseGuard``).
- ``engine.scraper``: ``call_spider_async`` gets every response and failure on its way to the
  callback or errback, ``handle_spider_error`` every exception that they raise,
  ``handle_spider_output_async`` everything that they yield (the output of errbacks does not pass
  the spider middlewares), ``start_itemproc_async`` every item on its way into the pipelines.

``uncaught`` wraps three more, for errors that Scrapy does not catch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request, signals
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.utils.asyncio import is_asyncio_available
from twisted.python.failure import Failure

from scrapy_resume.engine import current
from scrapy_resume.engine.current import ItemInPipelines, current_row
from scrapy_resume.engine.item_pool import ItemPool
from scrapy_resume.engine.old_style_start import pass_start_through
from scrapy_resume.engine.outcomes import outcome_of
from scrapy_resume.engine.private_api import InProgress, verify
from scrapy_resume.engine.uncaught import UncaughtErrors, absorb
from scrapy_resume.errors import describe
from scrapy_resume.model import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable

    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.lease_guard import LeaseGuard
    from scrapy_resume.engine.port import EnginePort
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.tracker import Tracker

ROOM_CHECK_REQUESTS: Final = 32
"""After so many requests of a callback it is checked whether the committer has room for more."""

logger = logging.getLogger("scrapy_resume")


class EngineHooks:
    """The wrappers around the engine's methods, for one crawl."""

    def __init__(
        self,
        tracker: Tracker,
        dispatcher: Dispatcher,
        committer: Committer,
        port: EnginePort,
        guard: LeaseGuard,
        ignored_http_codes: Collection[int],
        torn_down: Callable[[], bool],
        post: Callable[..., object],
    ) -> None:
        # Eight: the parts that hear of what the engine does, and two ways to the event loop.
        """``torn_down``: whether the event loop is being torn down (see ``UncaughtErrors``).
        ``post``: has the event loop call a function; other threads may use it."""
        self._post = post
        self._tracker = tracker
        self.uncaught = UncaughtErrors(tracker, torn_down, post)
        self._dispatcher = dispatcher
        self._committer = committer
        self._port = port
        self._guard = guard
        self._ignored_http_codes = frozenset(ignored_http_codes)
        self._yielding: Row | None = None
        self._tags: dict[int, list[tuple[Any, Row]]] = {}
        self._engine: ExecutionEngine
        self.process_start: Callable[[AsyncIterator[Any]], AsyncIterator[Any]] | None = None
        """The spider middleware's, which sets it; ``None``: there is none."""
        self._start_request: Request | None = None
        """The request that ``start()`` has yielded last; ``None``: it is scheduled."""

    def attach(self, engine: ExecutionEngine) -> None:
        """Wrap the engine's methods. Raises ``ScrapyChangedError`` if a private part is missing."""
        verify(engine)
        self._engine = engine
        self._crawl = engine.crawl
        self._port.attach(engine, self._tracker.row_of)
        engine_slot: Any = engine._slot
        engine_slot.inprogress = InProgress(engine_slot.inprogress, self._tracker.engine_done)
        downloader: Any = engine.downloader
        scraper: Any = engine.scraper
        engine_parts: Any = engine
        engine_parts._download = self._watch_download(engine_parts._download)
        downloader.fetch = self._watch_fetch(downloader.fetch)
        downloader._process_queue = self._watch_queue(downloader._process_queue)
        scraper.call_spider_async = self._watch_call(scraper.call_spider_async)
        scraper.handle_spider_error = self._watch_error(scraper.handle_spider_error)
        scraper.handle_spider_output_async = self._watch_output(scraper.handle_spider_output_async)
        scraper.start_itemproc_async = self._watch_item(scraper.start_itemproc_async)
        if self.process_start is not None:
            pass_start_through(engine, self.process_start)
        self.uncaught.attach(engine, lambda request: self._start_request is request)
        engine.crawler.signals.connect(self.site_answers, signals.headers_received)

    def site_answers(self, request: Request) -> None:
        """The site has begun to answer: what the process dies of from here on is the answer.

        The one place that announces it. It is called when the headers are here; by the downloader
        middleware, before any other one works on the response, since handlers of some schemes
        report no headers and a cached response is not downloaded; and before the callback.
        """
        self._dispatcher.mark_answered(request)

    def start_yields(self, request: Request) -> None:
        """``start()`` has yielded a request, which the engine schedules next."""
        self._start_request = request

    def clear_context(self) -> None:
        """Requests that are scheduled from here on have no parent.

        Called when the engine asks for the next request. asyncio runs the engine in the context of
        the code that woke it, for instance of a callback; a request that a handler of
        ``spider_idle`` schedules must not become a child of that callback's request.
        """
        current.clear()

    def parent_of(self, request: Request) -> Row | None:
        """The row whose callback, middleware or pipeline schedules the request. ``None``: none."""
        if self._start_request is request:
            self._start_request = None
            return self._tracker.start.row
        if self._yielding is not None:
            return self._yielding
        return current.row_of_code()

    def tag(self, output: Any, row: Row) -> None:
        """Remember the row of an item until the item reaches the pipelines."""
        self._tags.setdefault(id(output), []).append((output, row))

    def _untag(self, output: Any) -> Row | None:
        tagged = self._tags.get(id(output))
        if not tagged:
            return None
        _, row = tagged.pop(0)
        if not tagged:
            del self._tags[id(output)]
        return row

    def _watch_download(self, download: Callable[..., Any]) -> Callable[..., Any]:
        """Requests that middlewares or signal handlers schedule meanwhile are its children."""

        def watched(request: Request) -> Any:
            token = current_row.set(self._tracker.row_of(request) or current_row.get())
            try:
                return download(request)
            finally:
                current_row.reset(token)

        return watched

    def _watch_fetch(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        def watched(request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            deferred = fetch(request, *args, **kwargs)
            return deferred if row is None else deferred.addBoth(self._fetched, row)

        return watched

    def _watch_queue(self, process_queue: Callable[[Any], None]) -> Callable[[Any], None]:
        """Send what waits in a slot of the downloader only if it may be sent."""

        def watched(download_slot: Any) -> None:
            if self._guard.may_send():
                process_queue(download_slot)
            elif self._guard.lost:
                self._port.drop_queue(download_slot)

        return watched

    def _fetched(self, result: Any, row: Row) -> Any:
        if isinstance(result, Request):
            self._tracker.continue_as(row, result)
        elif isinstance(result, Response):
            self._tracker.response_received(row, result.status)
        return result

    def _watch_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(result: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            if row is None:
                return await call(result, request, *args, **kwargs)
            self.site_answers(request)
            await self._dispatcher.wait_until_marked()
            if isinstance(result, Failure) and result.value is not None:
                outcome = outcome_of(result.value, self._ignored_http_codes)
                self._tracker.download_failed(row, outcome)
            return await call(result, request, *args, **kwargs)

        return watched

    def _watch_error(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        def watched(failure: Failure, request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            error = failure.value
            if row is not None and error is not None and not isinstance(error, CloseSpider):
                self._tracker.callback_failed(row, error)
            return handle(failure, request, *args, **kwargs)

        return watched

    def _watch_output(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        """Schedule requests with their parent. With asyncio, also replace Scrapy's loop over items.

        Scrapy starts CONCURRENT_ITEMS tasks for each response; ``ItemPool`` starts no more than
        there are items, which saves more time than this package takes.
        """

        async def watched(
            result: Any, request: Request, response: Any, *args: Any, **kwargs: Any
        ) -> Any:
            row = self._tracker.row_of(request)
            if row is None:
                return await handle(result, request, response, *args, **kwargs)
            outputs = self._outputs(result, row, request, response)
            if is_asyncio_available():
                return await self._process(outputs, row, request, response)
            return await handle(outputs, request, response, *args, **kwargs)

        return watched

    async def _process(
        self, outputs: AsyncGenerator[Any, None], row: Row, request: Request, response: Any
    ) -> None:
        """Send the items of a callback through the pipelines, up to CONCURRENT_ITEMS at a time.

        All of them have passed when this returns, even if the callback was cancelled meanwhile.
        """
        scraper: Any = self._engine.scraper
        process = partial(scraper.start_itemproc_async, response=response)
        pipelines = ItemPool(process, scraper.concurrent_items)
        try:
            async for item in outputs:
                await pipelines.add(item)
        except BaseException as error:
            self._end_callback(error, row, request, response)
        while True:
            try:
                return await pipelines.end()
            except asyncio.CancelledError as error:
                self._end_callback(error, row, request, response)

    def _end_callback(
        self, error: BaseException, row: Row, request: Request, response: Any
    ) -> None:
        """An error has ended a callback, or the middlewares that its output passes. Raises it again
        if it is no outcome."""
        if not self.uncaught.is_outcome(error, own_context=current_row.get() is row):
            raise error
        absorb(error)
        self.uncaught.handle(error, request, response)

    async def _outputs(
        self, result: Any, row: Row, request: Request, response: Any
    ) -> AsyncGenerator[Any, None]:
        """Schedule the requests that a callback yields, and yield its items.

        A request is scheduled at once, while its parent is known. While the committer is full, the
        callback waits.
        """
        committer = self._committer
        requests = 0
        outputs = result if isinstance(result, AsyncIterator) else self._step(result, row)
        while True:
            current_row.set(row)  # without asyncio, each call has a context of its own
            try:
                output = await anext(outputs)
            except StopAsyncIteration:
                return
            except BaseException as error:
                if isinstance(error, Exception):
                    raise
                self._end_callback(error, row, request, response)
                return
            if isinstance(output, Request):
                self._schedule(output, row)
                requests += 1
            elif output is not None:
                self.tag(output, row)
                yield output
            if requests % ROOM_CHECK_REQUESTS == 0 and committer.full:
                await committer.wait_for_room()

    def _schedule(self, request: Request, row: Row) -> None:
        """Schedule a request that the row's callback has yielded. If that raises, the row fails,
        and the callback goes on, as in Scrapy."""
        self._yielding = row
        try:
            self._crawl(request)
        except BaseException as error:
            if not self.uncaught.is_outcome(error):
                raise
            self._tracker.callback_failed(row, error)
            logger.error(
                "%s, which %s has yielded, could not be scheduled: %s",
                request,
                row.url,
                describe(error),
                exc_info=error,
            )
        finally:
            self._yielding = None

    async def _step(self, result: Iterable[Any], row: Row) -> AsyncGenerator[Any, None]:
        """The outputs of a plain iterable. Requests that its code schedules itself are the row's
        children."""
        iterator = iter(result)
        while True:
            self._yielding = row
            try:
                output = next(iterator)
            except StopIteration:
                return
            finally:
                self._yielding = None
            yield output

    def _watch_item(self, start_itemproc: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(item: Any, *args: Any, **kwargs: Any) -> Any:
            yielded_by = self._untag(item)
            row = yielded_by or current_row.get()
            if row is None or row.ended:
                row = self._tracker.start.orphan_item()
            in_pipelines = ItemInPipelines(self._tracker.items, row)
            in_pipelines.enter()
            try:
                await start_itemproc(item, *args, **kwargs)
            except BaseException as error:
                is_current = in_pipelines.is_current
                if not self.uncaught.is_outcome(error, own_context=is_current):
                    if not is_current:
                        self._post(self._end_item, in_pipelines, error)
                    raise
                self._end_item(in_pipelines, error)
                if yielded_by is None:
                    raise  # to the user's code, which has called the pipelines itself
                absorb(error)
            else:
                self._end_item(in_pipelines)

        return watched

    def _end_item(self, item: ItemInPipelines, error: BaseException | None = None) -> None:
        """An item has left the pipelines, with an error that Scrapy has not caught or without."""
        item.leave()
        row = item.row
        if error is not None:
            if not item.settled:
                row.item_failed(item.occurrence, error)
            origin = row.url or "start()"
            what = describe(error)
            logger.error("%s left the pipelines with an item of %s", what, origin, exc_info=error)
        if row.kind is Kind.start_item:
            self._tracker.end_start_item(row)
