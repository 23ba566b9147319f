"""What ``start()`` yields in a resumed run: known items are left out, and it waits for room."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scrapy_resume.codec import Codec
from scrapy_resume.commits.committer import Committer
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import Kind
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.store.contract import Batch, RowIds
from scrapy_resume.tracking.row_ids import IdSequence
from scrapy_resume.tracking.start import HELD_LIMIT, START_BELOW_LIMIT, Start
from scrapy_resume.tracking.start_history import StartHistory
from tests.support.coroutines import in_event_loop, run_what_is_ready

LIMIT_SECONDS = 20


class Collecting:
    """A committer that is never full."""

    def __init__(self) -> None:
        self.batch = Batch(next_id=1)
        self.sends = 0

    def begin_entry(self) -> Batch:
        return self.batch

    def send_soon(self) -> None:
        self.sends += 1

    async def wait_for_room(self) -> None:
        pass


class Past:
    """What earlier runs know of ``start()``."""

    def __init__(self, items: int | None) -> None:
        self.exhausted = items is not None
        self.items = items

    async def item_count(self) -> int:
        assert self.items is not None
        return self.items


class Bench:
    """``earlier``: how many items an exhausted ``start()`` gave; ``None``: it was not exhausted."""

    def __init__(self, *, began: bool, earlier: int | None = None) -> None:
        self.collecting = Collecting()
        committer = cast(Committer, self.collecting)
        ids = IdSequence(RowIds(first=1), committer)
        codec = cast(Codec, SimpleNamespace(encode_item=repr))
        history = cast(StartHistory, Past(earlier))
        self.start = Start(ids, codec, committer, AsyncioClock(), history, began=began)

    async def admitted(self, item: Any, *, new: bool) -> tuple[Any, Row] | None:
        """The item that is to pass the pipelines, and its row, when the store has answered whether
        the contents of ``item`` are new."""
        admission = asyncio.ensure_future(self.start.admit_item(item))
        await run_what_is_ready()
        row_id, waiter = self.start.answers.popitem()
        assert not self.start.answers
        assert self.collecting.batch.arrivals[-1].id == row_id
        waiter.set(new)
        return await asyncio.wait_for(admission, LIMIT_SECONDS)


@in_event_loop
async def test_the_run_that_begins_a_job_asks_for_no_item() -> None:
    bench = Bench(began=True)
    admitted = await bench.start.admit_item({"a": 1})
    assert admitted is not None
    item, row = admitted
    assert item == {"a": 1}
    assert row.kind is Kind.start_item
    assert not bench.collecting.batch.arrivals
    assert bench.start.items_in_hand == bench.start.row.open_below == 1


@in_event_loop
async def test_an_item_that_an_earlier_run_has_stored_is_left_out() -> None:
    bench = Bench(began=False)
    assert await bench.admitted({"a": 1}, new=False) is None
    assert bench.start.items_in_hand == bench.start.row.open_below == 0
    assert bench.collecting.sends == 1, "it waits for the answer"


@in_event_loop
async def test_a_new_item_of_a_resumed_run_is_admitted_as_unrecorded() -> None:
    bench = Bench(began=False)
    admitted = await bench.admitted({"a": 1}, new=True)
    assert admitted is not None
    _, row = admitted
    assert row.anchor is bench.start.row
    [asked] = bench.collecting.batch.arrivals
    assert not asked.record, "its row comes with its finish"


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("123", ""),
        ("12345", "45"),
        ("abc", ""),
        ("cab1", "1"),
        ("1abc", "1"),
        ("a1b2c3", "213"),
        ("1", ""),
    ],
)
@in_event_loop
async def test_as_many_items_as_an_exhausted_start_gave_are_known(given: str, passed: str) -> None:
    bench = Bench(began=False, earlier=3)
    found = [await bench.admitted(item, new=item.isdigit()) for item in given]
    items = [admitted[0] for admitted in found if admitted is not None]
    assert items == list(passed)
    assert bench.start.items_in_hand == bench.start.row.open_below == len(passed)


@in_event_loop
async def test_few_items_are_held_back_in_memory() -> None:
    bench = Bench(began=False, earlier=2 * HELD_LIMIT + 3)
    for number in range(2 * HELD_LIMIT + 3):
        assert await bench.admitted(number, new=True) is None
    assert len(bench.start._held) == HELD_LIMIT
    assert await bench.admitted(0, new=True) is not None


@in_event_loop
async def test_nothing_is_admitted_once_the_run_is_frozen() -> None:
    bench = Bench(began=True)
    bench.start.freeze()
    assert await bench.start.admit_item({"a": 1}) is None


@in_event_loop
async def test_it_waits_while_too_much_of_it_is_unfinished() -> None:
    start = Bench(began=True).start
    start.row.open_below = START_BELOW_LIMIT
    waiting = asyncio.ensure_future(start.wait_for_room())
    await run_what_is_ready()
    start.row.open_below -= 1
    start.child_finished()
    await run_what_is_ready()
    assert not waiting.done(), "it goes on at half of the limit"
    start.row.open_below = START_BELOW_LIMIT // 2 - 1
    start.child_finished()
    await asyncio.wait_for(waiting, LIMIT_SECONDS)


@in_event_loop
async def test_a_forced_shutdown_does_not_leave_it_waiting() -> None:
    start = Bench(began=True).start
    start.row.open_below = START_BELOW_LIMIT
    waiting = asyncio.ensure_future(start.wait_for_room())
    await run_what_is_ready()
    start.freeze()
    await asyncio.wait_for(waiting, LIMIT_SECONDS)


def exhausted(*, open_below: int, over: bool) -> bool:
    """Whether the batch says that ``start()`` is exhausted."""
    collecting = Collecting()
    unused = cast(Any, None)
    start = Start(unused, unused, cast(Committer, collecting), unused, unused, began=True)
    start.row.open_below, start.exhausted = open_below, over
    start.finish()
    return collecting.batch.start_exhausted


def test_it_is_exhausted_when_all_that_it_yielded_is_finished() -> None:
    assert exhausted(open_below=0, over=True)
    assert not exhausted(open_below=1, over=True)
    assert not exhausted(open_below=0, over=False)
