"""What the methods of a stage return that serve asyncio and plain code alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Answer(int):
    """A yes or no that may be awaited."""

    def __await__(self) -> Any:
        return bool(self)
        yield

    def __repr__(self) -> str:
        return repr(bool(self))


class Document(dict[str, Any]):
    """A document that may be awaited."""

    def __await__(self) -> Any:
        return dict(self)
        yield


class NoKeys:
    """The keys that remain of a completed job, for both kinds of loops."""

    def __iter__(self) -> NoKeys:
        return self

    def __next__(self) -> Any:
        raise StopIteration

    def __aiter__(self) -> NoKeys:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration


async def returned(value: Any) -> Any:
    """The value, to be awaited."""
    return value


def run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
