from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scrapy_resume.engine.item_pool import INITIAL_WORKERS, ItemPool
from tests.support.coroutines import in_event_loop


async def run(items: int, limit: int, process: Callable[[int], Awaitable[None]]) -> None:
    parallel = ItemPool(process, limit)
    try:
        for item in range(items):
            await parallel.add(item)
    finally:
        await parallel.end()


class Watched:
    """Processes items, each in so many turns of the loop or so long."""

    def __init__(self, turns: int = 0, seconds: float = 0) -> None:
        self.turns = turns
        self.seconds = seconds
        self.done: list[int] = []
        self.at_once = 0
        self.most = 0

    async def __call__(self, item: int) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.at_once -= 1
        self.done.append(item)


@pytest.mark.parametrize("turns", [0, 1, 8])
@in_event_loop
async def test_items_that_wait_for_nothing_are_processed_few_at_a_time(turns: int) -> None:
    watched = Watched(turns)
    await run(500, 100, watched)
    assert watched.done == list(range(500))
    assert watched.most <= INITIAL_WORKERS


@in_event_loop
async def test_items_that_wait_are_processed_as_many_at_a_time_as_may_be() -> None:
    watched = Watched(seconds=0.05)
    await run(400, 100, watched)
    assert sorted(watched.done) == list(range(400))
    assert watched.most == 100


@pytest.mark.parametrize("limit", [1, 3, 8, 9])
@in_event_loop
async def test_the_limit_is_kept(limit: int) -> None:
    watched = Watched(turns=3, seconds=0.01)
    await run(20, limit, watched)
    assert sorted(watched.done) == list(range(20))
    assert watched.most <= limit


@in_event_loop
async def test_items_that_wait_for_one_another_all_come_to_run() -> None:
    """A pipeline may gather items before it lets any of them go."""
    gathered = asyncio.Event()
    came: list[int] = []

    async def gather(item: int) -> None:
        came.append(item)
        if len(came) == 90:
            gathered.set()
        await gathered.wait()

    await run(90, 100, gather)
    assert sorted(came) == list(range(90))


@in_event_loop
async def test_an_item_that_raises_stops_no_other_and_is_raised_at_the_end() -> None:
    done: list[int] = []

    async def fail_once(item: int) -> None:
        await asyncio.sleep(0)
        if item == 3:
            raise ValueError("three")
        done.append(item)

    with pytest.raises(ValueError, match="three"):
        await run(100, 10, fail_once)
    assert len(done) == 99


@in_event_loop
async def test_a_worker_that_an_item_cancels_stops_no_other_item() -> None:
    done: list[int] = []

    async def cancel_some(item: int) -> None:
        await asyncio.sleep(0)
        if item % 3 == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)
        done.append(item)

    await run(60, 2, cancel_some)
    assert sorted(done) == [item for item in range(60) if item % 3]


@in_event_loop
async def test_a_limit_of_nothing_at_a_time_holds_nothing_up() -> None:
    watched = Watched()
    await asyncio.wait_for(run(3, 0, watched), 5)
    assert watched.done == [0, 1, 2]
