"""Scrapy's clock on the asyncio reactor: timers, waiters, coroutines and calls from threads."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from scrapy_resume.engine.clock import ScrapyClock
from scrapy_resume.ports.clock import Waiter, pause
from tests.support.coroutines import in_event_loop, run_what_is_ready


@in_event_loop
async def test_a_waiter_gives_the_first_value_that_is_set() -> None:
    waiter: Waiter[int] = ScrapyClock().waiter()
    task = asyncio.ensure_future(waiter.wait())
    await run_what_is_ready()
    assert not task.done()
    waiter.set(1)
    waiter.set(2)
    assert await task == 1


@in_event_loop
async def test_a_waiter_that_was_set_before_does_not_wait() -> None:
    waiter: Waiter[str] = ScrapyClock().waiter()
    waiter.set("there")
    assert await waiter.wait() == "there"


@in_event_loop
async def test_a_timer_calls_with_its_values_after_the_time() -> None:
    clock = ScrapyClock()
    waiter: Waiter[str] = clock.waiter()
    began = clock.monotonic()
    clock.call_later(0.02, waiter.set, "due")
    assert await waiter.wait() == "due"
    assert clock.monotonic() - began >= 0.015


@in_event_loop
async def test_a_timer_that_was_cancelled_does_not_call() -> None:
    clock = ScrapyClock()
    called: list[int] = []
    timer = clock.call_later(0.0, called.append, 1)
    timer.cancel()
    await pause(clock, 0.01)
    assert called == []


@in_event_loop
async def test_a_timer_that_has_called_may_be_cancelled() -> None:
    clock = ScrapyClock()
    waiter: Waiter[None] = clock.waiter()
    called: list[int] = []
    timer = clock.call_later(0.0, called.append, 1)
    clock.call_later(0.0, waiter.set, None)
    await waiter.wait()
    timer.cancel()
    assert called == [1]


@in_event_loop
async def test_a_spawned_coroutine_runs() -> None:
    clock = ScrapyClock()
    waiter: Waiter[str] = clock.waiter()

    async def work() -> None:
        await pause(clock, 0.0)
        waiter.set("done")

    clock.spawn(work())
    assert await waiter.wait() == "done"


@in_event_loop
async def test_a_call_that_a_thread_posts_runs_in_the_event_loop() -> None:
    clock = ScrapyClock()
    clock.attach()
    waiter: Waiter[int] = clock.waiter()

    def called(value: int) -> None:
        assert value == 7
        waiter.set(threading.get_ident())

    thread = threading.Thread(target=clock.post, args=(called, 7))
    thread.start()
    assert await waiter.wait() == threading.get_ident()
    thread.join()


def test_a_call_that_is_posted_after_the_event_loop_has_ended_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ScrapyClock()
    loop = asyncio.new_event_loop()
    clock._hand_over = loop.call_soon_threadsafe
    loop.close()
    with caplog.at_level(logging.DEBUG, "scrapy_resume"):
        clock.post(print, "never")
    assert "The event loop was closed" in caplog.text


def test_its_times_are_those_of_the_standard_library() -> None:
    clock = ScrapyClock()
    assert clock.time() == pytest.approx(time.time(), abs=1)
    assert clock.monotonic() == pytest.approx(time.monotonic(), abs=1)
