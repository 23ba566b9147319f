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
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from scrapy import Request, signals
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.reactor import is_reactor_installed
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from scrapy_resume.engine.item_pool import ItemPool
from scrapy_resume.engine.outcomes import outcome_of
from scrapy_resume.engine.private_api import InProgress, verify
from scrapy_resume.model import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable

    from scrapy.core.engine import ExecutionEngine

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.lease_guard import LeaseGuard
    from scrapy_resume.engine.port import EnginePort
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.items import OpenItems
    from scrapy_resume.tracking.tracker import Tracker

ROOM_CHECK_REQUESTS: Final = 32
"""After so many requests of a callback it is checked whether the committer has room for more."""

_current_row: ContextVar[Row | None] = ContextVar("scrapy_resume_row", default=None)
_current_item: ContextVar[ItemInPipelines | None] = ContextVar("scrapy_resume_item", default=None)

_CANCELLED: Final = (CancelledError, asyncio.CancelledError)


class ItemInPipelines(NamedTuple):
    """An item on its way through the pipelines."""

    items: OpenItems
    row: Row
    occurrence: int
    """From 0, among the items of the row."""


def current_item() -> ItemInPipelines | None:
    """The item whose pipelines have called this code. ``None``: it was not called by a pipeline."""
    return _current_item.get()


def is_cancellation(error: BaseException | None) -> bool:
    """Whether an error means that the event loop is being torn down: then it is no outcome of the
    request.

    That happens without a reactor only. A reactor that stops cancels nothing, so with one a
    cancellation has another cause (a page over DOWNLOAD_MAXSIZE in older versions of Scrapy), and
    is an outcome.
    """
    return isinstance(error, _CANCELLED) and not is_reactor_installed()


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
        cancelled: Callable[[], None],
    ) -> None:
        """``cancelled`` is called when the event loop is torn down (see ``is_cancellation``)."""
        self._tracker = tracker
        self._dispatcher = dispatcher
        self._committer = committer
        self._port = port
        self._guard = guard
        self._ignored_http_codes = frozenset(ignored_http_codes)
        self._cancelled = cancelled
        self._yielding: Row | None = None
        self._tags: dict[int, list[tuple[Any, Row]]] = {}
        self._engine: ExecutionEngine
        self._start_request: Request | None = None
        """The request that ``start()`` has yielded last; ``None``: it is scheduled."""

    def attach(self, engine: ExecutionEngine) -> None:
        """Wrap the engine's methods. Raises ``ScrapyChangedError`` if a private part is missing."""
        verify(engine)
        self._engine = engine
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
        _current_row.set(None)
        _current_item.set(None)

    def parent_of(self, request: Request) -> Row | None:
        """The row whose callback, middleware or pipeline schedules the request. ``None``: none."""
        if self._start_request is request:
            self._start_request = None
            return self._tracker.start.row
        if self._yielding is not None:
            return self._yielding
        item = _current_item.get()
        return item.row if item is not None else _current_row.get()

    def tag(self, output: Any, row: Row) -> None:
        """Remember the row of an item until the item reaches the pipelines."""
        self._tags.setdefault(id(output), []).append((output, row))

    def _untag(self, output: Any) -> Row | None:
        tagged = self._tags.get(id(output))
        if not tagged:
            return _current_row.get()
        _, row = tagged.pop(0)
        if not tagged:
            del self._tags[id(output)]
        return row

    def _watch_download(self, download: Callable[..., Any]) -> Callable[..., Any]:
        """Requests that middlewares or signal handlers schedule meanwhile are its children."""

        def watched(request: Request) -> Any:
            token = _current_row.set(self._tracker.row_of(request) or _current_row.get())
            try:
                return download(request)
            finally:
                _current_row.reset(token)

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
        elif isinstance(result, Failure) and is_cancellation(result.value):
            self._cancelled()
        return result

    def _watch_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(result: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            if row is None:
                return await call(result, request, *args, **kwargs)
            _current_row.set(row)
            self.site_answers(request)
            await self._dispatcher.wait_until_marked()
            if isinstance(result, Failure) and result.value is not None:
                if is_cancellation(result.value):
                    self._cancelled()
                else:
                    outcome = outcome_of(result.value, self._ignored_http_codes)
                    self._tracker.download_failed(row, outcome)
            return await call(result, request, *args, **kwargs)

        return watched

    def _watch_error(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        def watched(failure: Failure, request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            if row is not None and failure.value is not None:
                if is_cancellation(failure.value):
                    self._cancelled()
                elif not isinstance(failure.value, CloseSpider):
                    self._tracker.callback_failed(row, failure.value)
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
            _current_row.set(row)
            outputs = self._outputs(result, row)
            if is_asyncio_available():
                return await self._process(outputs, request, response)
            return await handle(outputs, request, response, *args, **kwargs)

        return watched

    async def _process(
        self, outputs: AsyncGenerator[Any, None], request: Request, response: Any
    ) -> None:
        """Send the items of a callback through the pipelines, up to CONCURRENT_ITEMS at a time."""
        scraper: Any = self._engine.scraper
        process = partial(scraper.start_itemproc_async, response=response)
        pipelines = ItemPool(process, scraper.concurrent_items)
        try:
            async for item in outputs:
                await pipelines.add(item)
        except Exception:
            scraper.handle_spider_error(Failure(), request, response)  # type: ignore[no-untyped-call]
        await pipelines.end()

    async def _outputs(self, result: Any, row: Row) -> AsyncGenerator[Any, None]:
        """Schedule the requests that a callback yields, and yield its items.

        A request is scheduled at once, while its parent is known. While the committer is full, the
        callback waits.
        """
        crawl = self._engine.crawl
        committer = self._committer
        requests = 0
        outputs = result if isinstance(result, AsyncIterator) else self._step(result, row)
        async for output in outputs:
            if isinstance(output, Request):
                self._yielding = row
                try:
                    crawl(output)
                finally:
                    self._yielding = None
                requests += 1
            elif output is not None:
                self.tag(output, row)
                yield output
            if requests % ROOM_CHECK_REQUESTS == 0 and committer.full:
                await committer.wait_for_room()

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
            row = self._untag(item)
            if row is None or row.ended:
                row = self._tracker.start.orphan_item()
            token = _current_item.set(
                ItemInPipelines(self._tracker.items, row, self._tracker.items.begin(row))
            )
            try:
                return await start_itemproc(item, *args, **kwargs)
            except asyncio.CancelledError as error:
                if is_cancellation(error):
                    self._cancelled()
                raise
            finally:
                _current_item.reset(token)
                if row.kind is Kind.start_item:
                    self._tracker.end_start_item(row)

        return watched
