"""Coroutines in tests: on the reactor of pytest-twisted, which runs on asyncio, or without any."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest_twisted
from twisted.internet.defer import Deferred

T = TypeVar("T")

TURNS = 20
"""Of the event loop: more than a chain of awaited coroutines takes to go on."""


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
    """Marks a test that is a coroutine and awaits what asyncio can await: futures, tasks, sleeps.

    ``pytest_twisted.ensureDeferred`` alone lets a test await Deferreds only. Fixtures and
    parameters are passed on.
    """

    @pytest_twisted.ensureDeferred
    @functools.wraps(test)
    async def on_reactor(*args: Any, **kwargs: Any) -> None:
        await Deferred.fromFuture(asyncio.ensure_future(test(*args, **kwargs)))

    return on_reactor


async def run_what_is_ready() -> None:
    """Let the event loop run all that is ready, and what that makes ready; no time passes."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that has nothing to wait for; fails if it waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    coroutine.close()
    raise AssertionError(f"{coroutine} waits for something")
