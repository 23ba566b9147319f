"""The store's answers reach the event loop, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.commits import store_thread
from scrapy_resume.commits.store_thread import StoreThread
from tests.support.clock import ManualClock


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
