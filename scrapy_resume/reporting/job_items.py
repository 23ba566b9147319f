"""The items of a job, read one after the other, and whether more are to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class JobItems(Iterator[Any]):
    """What ``open_store().items(…)`` returns: an iterator that knows whose items they are."""

    def __init__(self, job: str, items: Iterator[Any], status: Callable[[], str]) -> None:
        """``status``: that of the job now."""
        self.job = job
        self._items = items
        self._status = status
        self.unfinished: str | None = None
        """After the last item: the status of a job that was not ``completed`` then, so that more
        items may follow; ``None``: there are no more, or the last one was not read."""

    def __next__(self) -> Any:
        for item in self._items:
            return item
        status = self._status()
        self.unfinished = None if status == "completed" else status
        raise StopIteration
