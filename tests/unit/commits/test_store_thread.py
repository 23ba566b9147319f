"""Calls of the store: each is answered in the event loop, whatever it raises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.ports.clock import AsyncioClock
from tests.support.coroutines import in_event_loop

LIMIT_SECONDS = 20


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt("x"), GeneratorExit("x")])
@in_event_loop
async def test_thread_goes_on_after_any_error_of_a_call(error: BaseException) -> None:
    thread = StoreThread("test", AsyncioClock())
    answers: asyncio.Queue[Any] = asyncio.Queue()

    def fail() -> None:
        raise error

    thread.submit(fail, answers.put_nowait, answers.put_nowait, answers.put_nowait)
    thread.submit(lambda: 5, answers.put_nowait, answers.put_nowait, answers.put_nowait)
    failed = await asyncio.wait_for(answers.get(), LIMIT_SECONDS)
    assert isinstance(failed, Exception)
    assert error in (failed, failed.__cause__)
    assert await asyncio.wait_for(answers.get(), LIMIT_SECONDS) == 5
    thread.stop()
