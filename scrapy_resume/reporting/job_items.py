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
        self._at_first: str | None = None
        """The status before the first item was read: a job that is completed only while it is read
        may have stored items behind the last one that was read."""
        self.unfinished: str | None = None
        """After the last item: the status of a job that was not ``completed`` when the reading
        began, so that more items may follow; ``None``: there are no more, or the last one was not
        read."""

    def __next__(self) -> Any:
        if self._at_first is None:
            self._at_first = self._status()
        for item in self._items:
            return item
        self.unfinished = None if self._at_first == "completed" else self._at_first
        raise StopIteration
