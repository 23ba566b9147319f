"""Errors that Scrapy does not catch: which of them are outcomes, and what they end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scrapy_resume.engine.current import current_row
from scrapy_resume.engine.uncaught import UncaughtErrors, absorb
from scrapy_resume.errors import StartInterruptedError
from tests.support.coroutines import in_event_loop, run_what_is_ready


class Tracker:
    """The one row that all requests belong to, and its outcome."""

    def __init__(self) -> None:
        self.row: Any = SimpleNamespace(url="http://x/")
        self.errors: list[BaseException] = []
        self.unscheduled: list[BaseException] = []

    def row_of(self, request: Request) -> Any:
        return self.row

    def callback_failed(self, row: Any, error: BaseException) -> None:
        self.errors.append(error)

    def not_scheduled(self, request: Request, error: BaseException) -> None:
        self.unscheduled.append(error)


class Scraper:
    """Processes as Scrapy's scraper does; ``call`` stands for the user's code."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.handled: list[Failure] = []

    async def _scrape(self, result: Any, request: Request) -> None:
        await self.call()

    async def _wait_for_processing(self, result: Any, request: Request, waiter: Any) -> None:
        try:
            await self._scrape(result, request)
        except Exception:
            waiter.errback(Failure())
        else:
            waiter.callback(None)

    def handle_spider_error(self, failure: Failure, request: Request, response: Any) -> None:
        self.handled.append(failure)


class Engine:
    """An engine with its scraper and downloader."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.scraper = Scraper(call)
        self.running = True
        self.crawled: Callable[[], None] = lambda: None
        self.downloader = SimpleNamespace(_wait_for_download=self.scraper._wait_for_processing)

    def crawl(self, request: Request) -> None:
        self.crawled()


class World:
    """``UncaughtErrors`` around an engine."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.tracker = Tracker()
        self.torn_down = False
        self.posted: list[tuple[Any, ...]] = []
        self.start_request: Request | None = None
        self.engine: Any = Engine(call)
        self.uncaught = UncaughtErrors(
            self.tracker,  # type: ignore[arg-type]
            lambda: self.torn_down,
            lambda *call: self.posted.append(call),
        )
        self.uncaught.attach(self.engine, lambda request: request is self.start_request)

    def process(self, waiter: Deferred[None]) -> Any:
        process = self.engine.scraper._wait_for_processing
        return process("response", Request("http://x/"), waiter)


async def interrupt() -> None:
    raise asyncio.CancelledError("the user's")


async def wait_for_what_raises() -> None:
    """A future that raises GeneratorExit closes the coroutines below the task that waits for it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, GeneratorExit("the user's"))
    await future


@pytest.mark.parametrize("call", [interrupt, wait_for_what_raises])
@in_event_loop
async def test_error_is_handled_as_scrapy_does_and_ends_the_request(
    call: Callable[[], Any],
) -> None:
    world, waiter = World(call), Deferred[None]()
    await asyncio.ensure_future(world.process(waiter))
    assert waiter.called
    [failure] = world.engine.scraper.handled
    assert str(failure.value) == "the user's"


@in_event_loop
async def test_error_while_the_loop_is_torn_down_ends_no_request() -> None:
    world, waiter = World(interrupt), Deferred[None]()
    world.torn_down = True
    with pytest.raises(asyncio.CancelledError):
        await world.process(waiter)
    assert not waiter.called
    assert not world.engine.scraper.handled


@in_event_loop
async def test_code_that_waits_for_what_nobody_has_ends_its_request_in_the_loop() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    world, waiter = World(wait_for_ever), Deferred[None]()
    asyncio.ensure_future(world.process(waiter))  # noqa: RUF006 (nobody keeps it, as in Scrapy)
    await run_what_is_ready()
    gc.collect()
    assert not waiter.called
    [(call, *values)] = world.posted
    call(*values)
    assert waiter.called
    [failure] = world.engine.scraper.handled
    assert failure.type is GeneratorExit


@in_event_loop
async def test_error_of_the_handling_ends_the_request_too() -> None:
    world, waiter = World(interrupt), Deferred[None]()

    def raise_again(*values: Any) -> None:
        raise asyncio.CancelledError

    world.engine.scraper.handle_spider_error = raise_again
    await world.process(waiter)
    assert waiter.called


@in_event_loop
async def test_interrupts_leave_the_event_loop_of_asyncio_only() -> None:
    world = World(interrupt)
    assert not world.uncaught.is_outcome(KeyboardInterrupt())
    in_thread = asyncio.get_running_loop().run_in_executor
    assert await in_thread(None, world.uncaught.is_outcome, KeyboardInterrupt())


@in_event_loop
async def test_engine_that_stops_cancels_start_and_that_is_no_error() -> None:
    world = World(interrupt)
    assert world.uncaught.ends_start(asyncio.CancelledError())
    world.engine.running = False
    assert not world.uncaught.ends_start(asyncio.CancelledError())


@in_event_loop
async def test_download_that_is_interrupted_fails() -> None:
    world, waiter = World(interrupt), Deferred[None]()
    errors: list[Failure] = []
    waiter.addErrback(errors.append)
    await world.engine.downloader._wait_for_download("slot", Request("http://x/"), waiter)
    assert [error.type for error in errors] == [asyncio.CancelledError]


@in_event_loop
async def test_start_request_that_cannot_be_scheduled_ends_start() -> None:
    world, request = World(interrupt), Request("http://x/")

    def raise_own() -> None:
        raise GeneratorExit("handler")

    world.engine.crawled = raise_own
    with pytest.raises(GeneratorExit):
        world.engine.crawl(request)
    world.start_request = request
    world.engine.crawl(request)
    with pytest.raises(StartInterruptedError, match="GeneratorExit: handler"):
        world.uncaught.check_start()
    world.uncaught.check_start()
    assert [type(error) for error in world.tracker.unscheduled] == [GeneratorExit] * 2


@in_event_loop
async def test_task_that_goes_on_after_its_cancellation_counts_as_not_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.sleep(0)
    absorb(caught.value)
    if hasattr(task, "cancelling"):  # Python 3.11
        assert task.cancelling() == 0
    current_row.set(None)
