"""Runs stages in the tests' own process: their event loop runs already, so in a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0


def in_thread(function: Callable[[], T]) -> T:
    """What a function returns, or raises, in a thread of its own."""
    answer: list[Any] = []

    def call() -> None:
        try:
            answer.append((function(), None))
        except BaseException as error:
            answer.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    if not answer:
        raise TimeoutError("the stage does not end")
    result, error = answer[0]
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def run_async(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What a coroutine function returns, or raises, in an event loop of its own."""
    return in_thread(lambda: asyncio.run(main()))
