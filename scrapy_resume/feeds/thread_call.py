"""Runs a call on a store thread and awaits its result in the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy_resume.commits.store_thread import StoreThread

T = TypeVar("T")


class InThread(Protocol):
    """Runs a call in a thread that belongs to whoever made this object."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """The result of the call; an exception of the call is raised by the awaitable."""


async def call_in_thread(thread: StoreThread, call: Callable[[], T]) -> T:
    """The result of the call; an exception of the call is raised here."""
    answer: Deferred[T] = Deferred()
    thread.submit(call, answer.callback, answer.errback, lambda error: None)
    return await maybe_deferred_to_future(answer)
