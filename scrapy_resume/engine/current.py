"""Whose code runs now: the request and the item that the running code belongs to.

Context variables: a task, and a coroutine that a Deferred runs, has a context of its own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.items import OpenItems

current_row: ContextVar[Row | None] = ContextVar("scrapy_resume_row", default=None)
"""The row whose callback, errback or middleware runs."""

_current_item: ContextVar[ItemInPipelines | None] = ContextVar("scrapy_resume_item", default=None)


class ItemInPipelines:
    """An item on its way through the pipelines."""

    __slots__ = (
        "_previous",
        "items",
        "lost_files",
        "occurrence",
        "row",
        "settled",
        "wanted_files",
    )

    def __init__(self, items: OpenItems, row: Row) -> None:
        self.items = items
        self.row = row
        self.occurrence = items.begin(row)
        """From 0, among the items of the row."""
        self.settled = False
        """It was scraped or dropped, or its error was recorded."""
        self.wanted_files: dict[int, Sequence[Request]] | None = None
        """By ``id`` of the media pipeline that has the item: what it downloads. ``None``: no media
        pipeline has had it."""
        self.lost_files: list[tuple[str, str]] | None = None
        """The files that media pipelines could not get: class name and message of the error.
        ``None``: there are none."""
        self._previous: ItemInPipelines | None = None

    def enter(self) -> None:
        """The code that runs from here on is that of the item's pipelines."""
        self._previous = _current_item.get()
        _current_item.set(self)

    @property
    def is_current(self) -> bool:
        """Whether the running code is that of the item's pipelines."""
        return _current_item.get() is self

    def leave(self) -> None:
        """The item has left the pipelines."""
        if self.is_current:
            _current_item.set(self._previous)


def current_item() -> ItemInPipelines | None:
    """The item whose pipelines have called this code. ``None``: it was not called by a pipeline."""
    return _current_item.get()


def row_of_code() -> Row | None:
    """The row that the running code belongs to. ``None``: none."""
    item = _current_item.get()
    return item.row if item is not None else current_row.get()


def clear() -> None:
    """The code that runs from here on belongs to no row."""
    current_row.set(None)
    _current_item.set(None)
