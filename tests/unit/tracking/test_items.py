"""Items on their way from the pipelines to the finish of their request."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.codec import Codec
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import JobKey, State
from scrapy_resume.tracking.items import OpenItems


class Stats:
    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def inc_value(self, key: str, **_: Any) -> None:
        self.values[key] = self.values.get(key, 0) + 1


class FailingCodec(Codec):
    """Fails as no codec means to: for want of memory, or in code of the item's own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def encode_item(self, item: Any) -> str:
        raise self._error


class NoText(Exception):
    def __str__(self) -> str:
        raise AttributeError("no text")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("50 MB"), "50 MB"),
        (RuntimeError("dictionary changed size"), "dictionary changed size"),
        (NoText(), "(no message: its str() raises AttributeError)"),
    ],
)
def test_an_item_that_cannot_be_kept_fails_its_request_whatever_the_error(
    error: Exception, message: str
) -> None:
    stats = Stats()
    never: Any = None
    items = OpenItems(JobKey("books", 1), FailingCodec(error), stats, None, never, never)
    row = Row(1, b"", recorded=True)
    items.add(row, items.begin(row), {"title": "lost"})
    assert (row.state, row.error, row.error_message) == (
        State.failed,
        type(error).__name__,
        message,
    )
    assert (row.items, row.items_failed) == ([], 1)
    assert stats.values == {"resume/items/not_recordable": 1}
