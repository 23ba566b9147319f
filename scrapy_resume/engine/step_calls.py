"""What steps of items need from Scrapy: coroutines in its event loop, downloads, and an engine that
waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request
from scrapy.http.request import NO_CALLBACK
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scrapy_resume.engine import current

if TYPE_CHECKING:
    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response

TOKEN_URL: Final = "data:,steps-of-items"

Ended = Callable[[Any, "BaseException | None"], None]
"""Called with what a coroutine returned and ``None``, or with ``None`` and what it raised."""


class ScrapyCalls:
    """Runs coroutines in Scrapy's event loop. Implements ``steps.attempts.Calls``."""

    def __init__(self) -> None:
        self._context = copy_context()
        self._context.run(current.clear)

    def run(self, coroutine: Coroutine[Any, Any, Any], ended: Ended) -> Callable[[], object]:
        """Run a coroutine, and call ``ended`` when it has ended, which may be before this returns.

        Each has a context of its own, which belongs to no request. Returns a function that cancels
        it: what it waits for raises ``CancelledError``.
        """
        if is_asyncio_available():
            task = self._context.copy().run(asyncio.ensure_future, coroutine)

            def task_ended(task: asyncio.Future[Any]) -> None:
                if task.cancelled():
                    ended(None, asyncio.CancelledError())
                elif (error := task.exception()) is not None:
                    ended(None, error)
                else:
                    ended(task.result(), None)

            task.add_done_callback(task_ended)
            return task.cancel
        deferred: Deferred[Any] = self._context.copy().run(Deferred.fromCoroutine, coroutine)
        deferred.addCallbacks(lambda result: ended(result, None), lambda f: ended(None, f.value))
        deferred.addErrback(_raise)
        return deferred.cancel


def _raise(failure: Failure) -> Failure:
    return failure


class EngineHold:
    """Keeps the engine open while steps run: a spider that closes waits for them as it does for
    requests in progress, and the downloader works for them until then."""

    def __init__(self) -> None:
        self._engine: ExecutionEngine | None = None
        self._token: Request | None = None
        self._count = 0

    def attach(self, engine: ExecutionEngine) -> None:
        """The engine exists."""
        self._engine = engine

    def enter(self) -> None:
        """A step begins."""
        self._count += 1
        slot = self._slot
        if self._count == 1 and slot is not None:
            self._token = Request(TOKEN_URL) if self._token is None else self._token
            slot.inprogress.add(self._token)

    def leave(self) -> None:
        """A step has ended, or is given up."""
        self._count -= 1
        slot = self._slot
        if not self._count and slot is not None and self._token in slot.inprogress:
            slot.remove_request(self._token)

    @property
    def _slot(self) -> Any:
        return None if self._engine is None else self._engine._slot


class EngineDownload:
    """Downloads for steps in this process. Implements ``steps.fetching.Download``."""

    def __init__(self) -> None:
        self._engine: ExecutionEngine | None = None

    def attach(self, engine: ExecutionEngine) -> None:
        """The engine exists."""
        self._engine = engine

    async def download(self, request: Request) -> Response:
        """Download a request through all downloader middlewares, with its slot's delay and
        concurrency, after its retries and redirects. Returns the response, whatever its status.

        Raises what the downloader or a middleware raises.
        """
        assert self._engine is not None
        if request.callback is None:
            request.callback = NO_CALLBACK
        return await self._engine.download_async(request)


async def detached(awaitable: Any) -> Any:
    """Wait for a coroutine or a Deferred that goes on if the waiting code is cancelled."""
    waiter: Deferred[Any] = Deferred()

    def ended(result: Any) -> None:
        if not waiter.called:
            waiter.callback(result)  # a Failure is raised

    deferred_from_coro(awaitable).addBoth(ended)
    return await maybe_deferred_to_future(waiter)
