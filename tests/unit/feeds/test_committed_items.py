"""The items that feeds read: those of one run among several, in the order of their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.codec import Codec
from scrapy_resume.feeds.committed_items import ItemsOfRun
from scrapy_resume.store.contract import StoredItem
from tests.support.coroutines import in_event_loop


class AtOnce:
    """A store thread that calls in the caller's own."""

    def submit(self, call: Callable[[], Any], done: Callable[[Any], None], *_: Any) -> None:
        done(call())


class Stored:
    """A job of which one run has stored the items with the given ids."""

    def __init__(self, codec: Codec, *ids: int) -> None:
        self.session = self.items = self
        self.last_id = self.superseded = 0
        self._rows = [StoredItem(one, codec.encode_item({"n": one})) for one in ids]

    def items_of_run(self, run: int, item_id: int, count: int) -> list[StoredItem]:
        return [row for row in self._rows if row.id > item_id][:count]


@pytest.mark.parametrize("written", [0, 3, 5])
@in_event_loop
async def test_a_part_that_has_to_be_written_again_is_read_from_its_first_item(
    written: int,
) -> None:
    """Also if nothing was left to read of it, because its run had written it to its end."""
    codec = Codec()
    source = ItemsOfRun(Stored(codec, 2, 3, 5), AtOnce(), codec, run=3)  # type: ignore[arg-type]
    source.end()
    through = written
    while (portion := await source.after(through)) is not None:
        through = portion.through
    read: list[int] = []
    through = 0
    while (portion := await source.after(through)) is not None:
        read += [item["n"] for item in portion.items]
        through = portion.through
    assert read == [2, 3, 5]
