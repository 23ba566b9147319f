"""What a task's function has returned, as items."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

_LISTS = (list, tuple, set, frozenset)


def is_generator(result: Any) -> bool:
    """Whether what was returned has to be run to its end: a generator or another iterator."""
    if result is None or type(result) is dict:
        return False
    return isinstance(result, (Iterator, AsyncIterator))


def items_of(result: Any) -> list[Any]:
    """The items of a result: ``None`` is none, a list is those that are in it, all else is one."""
    if result is None:
        return []
    if type(result) is dict:
        return [result]
    if isinstance(result, _LISTS):
        return [item for item in result if item is not None]
    return [result]


def is_async(function: Any) -> bool:
    """Whether a function is to be called in the event loop, since it waits: a coroutine function,
    an asynchronous generator function, or an object whose ``__call__`` is one."""
    while hasattr(function, "func") and not inspect.isfunction(function):
        function = function.func  # functools.partial
    called = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (function, called)
    )


def name_of(function: Any) -> str:
    """The name of a function, for the group of its tasks."""
    while hasattr(function, "func") and not hasattr(function, "__qualname__"):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]
