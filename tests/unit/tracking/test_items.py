"""Items as they leave the pipelines: none is lost without a word."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.test import get_crawler

from scrapy_resume.codec import Codec
from scrapy_resume.commits.committer import Committer
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import JobKey, State
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.tracking.items import OpenItems
from tests.support.coroutines import in_event_loop


def items_with(encode: Any, item_key: Any = None) -> OpenItems:
    codec = cast(Codec, SimpleNamespace(encode_item=encode))
    stats = MemoryStatsCollector(get_crawler())
    committer = cast(Committer, None)
    return OpenItems(JobKey("x", 1), codec, stats, item_key, committer, AsyncioClock())


@pytest.mark.parametrize("error", [ValueError("price"), asyncio.CancelledError("price")])
@pytest.mark.parametrize("of_key", [False, True])
@in_event_loop
async def test_any_error_of_a_codec_or_a_key_fails_the_request_of_the_item(
    error: BaseException, of_key: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(item: Any) -> str:
        raise error

    items = items_with(repr, fail) if of_key else items_with(fail)
    row = Row(1, b"x", recorded=True)
    row.url = "http://x/"
    items.add(row, items.begin(row), {"a": 1})
    assert (row.state, row.items_failed, row.items) == (State.failed, 1, [])
    assert "An item of http://x/ cannot be serialized" in caplog.text
    assert "price" in caplog.text


@in_event_loop
async def test_an_interrupt_while_an_item_is_encoded_is_no_outcome() -> None:
    def interrupt(item: Any) -> str:
        raise KeyboardInterrupt

    items, row = items_with(interrupt), Row(1, b"x", recorded=True)
    with pytest.raises(KeyboardInterrupt):
        items.add(row, items.begin(row), {"a": 1})
    assert (row.state, row.items_failed) == (State.done, 0)


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
