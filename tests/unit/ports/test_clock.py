"""The clock of a plain asyncio program: delayed calls, waiters, tasks, calls of other threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

from scrapy_resume.ports.clock import AsyncioClock, pause
from tests.support.coroutines import in_event_loop, run_what_is_ready

LIMIT_SECONDS = 20


@in_event_loop
async def test_a_call_is_made_later_with_its_values_unless_it_is_cancelled() -> None:
    clock = AsyncioClock()
    called = clock.waiter()
    calls: list[str] = []
    cancelled = clock.call_later(0.01, calls.append, "cancelled")
    clock.call_later(0.02, called.set, "called")
    cancelled.cancel()
    assert await asyncio.wait_for(called.wait(), LIMIT_SECONDS) == "called"
    assert calls == []
    cancelled.cancel()


@in_event_loop
async def test_the_first_value_of_a_waiter_counts() -> None:
    waiter = AsyncioClock().waiter()
    waiting = asyncio.ensure_future(waiter.wait())
    await run_what_is_ready()
    assert not waiting.done()
    waiter.set(1)
    waiter.set(2)
    assert await asyncio.wait_for(waiting, LIMIT_SECONDS) == 1


@in_event_loop
async def test_a_call_posted_by_another_thread_is_made_in_the_thread_of_the_event_loop() -> None:
    clock = AsyncioClock()
    called = clock.waiter()
    thread = threading.Thread(
        target=clock.post, args=(lambda: called.set(threading.get_ident()),), daemon=True
    )
    thread.start()
    assert await asyncio.wait_for(called.wait(), LIMIT_SECONDS) == threading.get_ident()


@in_event_loop
async def test_a_spawned_task_ends_though_nothing_else_refers_to_it() -> None:
    clock = AsyncioClock()
    ended = clock.waiter()

    async def wait_for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.set("cancelled")
            raise

    clock.spawn(wait_for_ever())
    await run_what_is_ready()
    gc.collect()
    [task] = clock._tasks
    task.cancel()
    assert await asyncio.wait_for(ended.wait(), LIMIT_SECONDS) == "cancelled"
    await run_what_is_ready()
    assert not clock._tasks, "it is kept only until it has ended"


@in_event_loop
async def test_a_pause_takes_as_long_as_it_is_told_to() -> None:
    clock = AsyncioClock()
    began = clock.monotonic()
    await asyncio.wait_for(pause(clock, 0.05), LIMIT_SECONDS)
    assert clock.monotonic() - began >= 0.045
    assert abs(clock.time() - time.time()) < 5


def test_a_call_posted_after_the_event_loop_was_closed_is_discarded() -> None:
    clocks: list[AsyncioClock] = []
    calls: list[str] = []

    async def make() -> None:
        clocks.append(AsyncioClock())

    # In an event loop of its own, in another thread, since the tests' own goes on.
    thread = threading.Thread(target=lambda: asyncio.run(make()))
    thread.start()
    thread.join()
    clocks[0].post(calls.append, "late")
    assert calls == []
