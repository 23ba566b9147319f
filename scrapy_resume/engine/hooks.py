"""What the engine does with each request.

Scrapy has no hook that says that a request is finished. Private parts that are wrapped here, on
the instances of one crawl, and verified by ``private_api`` when the spider opens:

- ``engine._slot.inprogress``, the set of requests that the engine holds. A request is in it
  from its hand-out until its download has ended, its callback or errback is exhausted, every
  request that was yielded is scheduled and every item is through the pipelines; a retry or
  redirect is scheduled before its predecessor leaves the set. So a request's absence proves
  that Scrapy is done with it.
- ``engine._download``: what is scheduled while a request is downloaded is the request's.
- ``engine.downloader.fetch``: a Request that it returns continues the one that was given.
- ``engine.scraper``: ``call_spider_async`` sees every response and failure on its way to
  callback or errback, ``handle_spider_error`` every exception of theirs,
  ``handle_spider_output_async`` all that they yield (errbacks' output passes the spider
  middlewares by), ``start_itemproc_async`` every item on its way into the pipelines.
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
    from scrapy_resume.engine.port import EnginePort
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.items import OpenItems
    from scrapy_resume.tracking.tracker import Tracker

BREATH: Final = 32
"""Requests that a callback may yield before it is asked whether there is room for more."""

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
    """The item that is going through the pipelines here and now."""
    return _current_item.get()


def is_cancellation(error: BaseException | None) -> bool:
    """Scrapy, or the event loop, is tearing down what runs: that says nothing of the request.

    Only where there is no reactor: a reactor that stops cancels nothing, so with one it is
    somebody's own doing (a page over DOWNLOAD_MAXSIZE in older Scrapys), and an outcome.
    """
    return isinstance(error, _CANCELLED) and not is_reactor_installed()


class EngineHooks:
    """Tells the tracker what becomes of the requests that the engine holds."""

    def __init__(
        self,
        tracker: Tracker,
        dispatcher: Dispatcher,
        committer: Committer,
        port: EnginePort,
        ignored_http_codes: Collection[int],
        cancelled: Callable[[], None],
    ) -> None:
        """``cancelled`` is called, without a reactor, when what runs is being torn down."""
        self._tracker = tracker
        self._dispatcher = dispatcher
        self._committer = committer
        self._port = port
        self._ignored_http_codes = frozenset(ignored_http_codes)
        self._cancelled = cancelled
        self._yielding: Row | None = None
        self._tags: dict[int, list[tuple[Any, Row]]] = {}
        self._engine: ExecutionEngine
        self.starting: Request | None = None
        """The request that ``start()`` has just yielded, until it is scheduled."""

    def attach(self, engine: ExecutionEngine) -> None:
        """Wrap the engine's parts. Raises ``ScrapyChangedError`` if one is not there."""
        verify(engine)
        self._engine = engine
        self._port.attach(engine, self._tracker.row_of)
        slot: Any = engine._slot
        slot.inprogress = InProgress(slot.inprogress, self._tracker.let_go)
        downloader: Any = engine.downloader
        scraper: Any = engine.scraper
        engine_parts: Any = engine
        engine_parts._download = self._watch_download(engine_parts._download)
        downloader.fetch = self._watch_fetch(downloader.fetch)
        scraper.call_spider_async = self._watch_call(scraper.call_spider_async)
        scraper.handle_spider_error = self._watch_error(scraper.handle_spider_error)
        scraper.handle_spider_output_async = self._watch_output(scraper.handle_spider_output_async)
        scraper.start_itemproc_async = self._watch_item(scraper.start_itemproc_async)
        connect = engine.crawler.signals.connect
        connect(self._site_answers, signals.headers_received)
        connect(self._site_answers, signals.response_downloaded)

    def _site_answers(self, request: Request) -> None:
        """The site has begun to answer. Handlers of some schemes give no headers before the body,
        and a response from the cache is not downloaded: whichever comes first announces it."""
        self._dispatcher.site_answers(request)

    def forget_scheduling(self) -> None:
        """The engine is about to hand requests out: what it does from here on is nobody's.

        asyncio calls it in the context of whatever had it called, a callback's for instance;
        handlers of ``spider_idle`` must not seem to be that callback.
        """
        _current_row.set(None)
        _current_item.set(None)

    def parent_of(self, request: Request) -> Row | None:
        """The row whose callback, middleware or pipeline is scheduling the request now."""
        if self.starting is request:
            self.starting = None
            return self._tracker.start.row
        if self._yielding is not None:
            return self._yielding
        item = _current_item.get()
        return item.row if item is not None else _current_row.get()

    def tag(self, output: Any, row: Row) -> None:
        """Remember whose an item is, until it reaches the pipelines."""
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
        """What middlewares, and handlers of signals, schedule meanwhile is the row's."""

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

    def _fetched(self, result: Any, row: Row) -> Any:
        if isinstance(result, Request):
            self._tracker.goes_on_as(row, result)
        elif isinstance(result, Response):
            self._tracker.got_page(row, result.status)
        elif isinstance(result, Failure) and is_cancellation(result.value):
            self._cancelled()
        return result

    def _watch_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(result: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
            row = self._tracker.row_of(request)
            if row is None:
                return await call(result, request, *args, **kwargs)
            _current_row.set(row)
            self._site_answers(request)
            await self._dispatcher.known_to_be_answered()
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
        """In place of Scrapy's own loop, where asyncio is there.

        Scrapy starts CONCURRENT_ITEMS tasks for each response; here no more are started than
        there are items. That pays for all that the package does.
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
        """Send the items of a callback through the pipelines, some at a time."""
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
        """Schedule the requests that a callback yields, pass its items on.

        A request is scheduled here and now, with its parent known; and when much is waiting
        for the store, the callback waits too.
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
            if requests % BREATH == 0 and committer.full:
                await committer.room()

    async def _step(self, result: Iterable[Any], row: Row) -> AsyncGenerator[Any, None]:
        """The outputs of a plain iterable; what its code schedules by itself is the row's."""
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
