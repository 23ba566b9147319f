"""Calls of the store: each is answered in the event loop, whatever it raises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.commits import store_thread
from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.ports.clock import AsyncioClock
from tests.support.clock import ManualClock
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


class ForgetfulClock(ManualClock):
    """Has no memory for the first posts."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self._failures = failures

    def post(self, call: Callable[..., object], *values: Any) -> None:
        if self._failures:
            self._failures -= 1
            raise MemoryError
        super().post(call, *values)


def test_no_answer_is_lost_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_thread, "FIRST_PAUSE_SECONDS", 0.01)
    thread = StoreThread("store", ForgetfulClock(failures=2))
    answered = threading.Event()
    results: list[Any] = []

    def done(result: Any) -> None:
        results.append(result)
        answered.set()

    for result in (1, 2):
        thread.submit(lambda result=result: result, done, results.append, results.append)  # type: ignore[misc]
    thread.stop()
    assert answered.wait(5)
    thread.join(5)
    assert results == [1, 2]
