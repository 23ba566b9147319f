"""Callbacks wait, where it matters, until the store knows that their pages are here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scrapy_resume.dispatch import dispatcher as dispatcher_module
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.store.contract import FrontierState, JobStore
from tests.support.clock import StubEngine
from tests.support.coroutines import in_event_loop

LIMIT_SECONDS = 20


def dispatcher(when_marked: Callable[[Callable[[], None]], bool]) -> Dispatcher:
    session = SimpleNamespace(frontier=FrontierState())
    job = cast(JobStore, SimpleNamespace(session=session, when_marked=when_marked))
    frontier = LeaseBuffer(concurrency=1, by_slot=True, pending={})
    unused = cast(Any, None)
    return Dispatcher(job, frontier, unused, unused, unused, StubEngine(), AsyncioClock())


async def goes_on(parts: Dispatcher) -> bool:
    """Whether a callback would go on, sooner or later."""
    waiting = asyncio.ensure_future(parts.known_to_be_answered())
    done, _ = await asyncio.wait([waiting], timeout=LIMIT_SECONDS)
    waiting.cancel()
    return bool(done)


@in_event_loop
async def test_a_callback_goes_on_when_the_store_says_so_from_another_thread() -> None:
    told = []

    def when_marked(tell: Callable[[], None]) -> bool:
        def answer() -> None:
            told.append(True)
            tell()

        threading.Timer(0.05, answer).start()
        return False

    assert await goes_on(dispatcher(when_marked))
    assert told


@in_event_loop
async def test_a_callback_goes_on_at_once_where_the_store_knows() -> None:
    assert await goes_on(dispatcher(lambda tell: True))


@in_event_loop
async def test_a_store_that_does_not_answer_holds_no_callback_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher_module, "LONGEST_WAIT_SECONDS", 0.05)
    late = []

    def when_marked(tell: Callable[[], None]) -> bool:
        late.append(tell)
        return False

    # In an event loop of its own, in another thread, since this one goes on.
    assert await asyncio.to_thread(asyncio.run, goes_on(dispatcher(when_marked)))
    # The answer comes all the same, when nobody waits and the event loop has ended.
    late[0]()
