"""Orders of commands are polled on the store thread, one question at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.errors import LeaseLostError, StoreUnavailableError
from scrapy_resume.run.order_polling import OrderPolling
from scrapy_resume.store.contract import Orders

STOP = Orders(stop=True)


class Job:
    def __init__(self) -> None:
        self.answer: Orders | Exception = Orders()

    def orders(self) -> Orders:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Thread:
    """Takes calls, and runs them when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Any], Callable[[Any], None], Any]] = []

    def submit(self, call: Any, done: Any, failed: Any, out: Any) -> None:
        self.calls.append((call, done, failed))

    def answer(self) -> None:
        call, done, failed = self.calls.pop(0)
        try:
            result = call()
        except Exception as error:
            failed(error)
        else:
            done(result)


class Bench:
    def __init__(self) -> None:
        self.job, self.thread = Job(), Thread()
        self.executed: list[Orders] = []
        self.polling = OrderPolling(
            self.job,  # type: ignore[arg-type]
            self.thread,  # type: ignore[arg-type]
            self.executed.append,
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_orders_are_executed(bench: Bench) -> None:
    bench.job.answer = STOP
    bench.polling.poll()
    assert bench.executed == []
    bench.thread.answer()
    assert bench.executed == [STOP]


def test_nothing_is_executed_without_orders(bench: Bench) -> None:
    bench.polling.poll()
    bench.thread.answer()
    assert bench.executed == []


def test_the_next_question_waits_for_the_answer(bench: Bench) -> None:
    bench.polling.poll()
    bench.polling.poll()
    assert len(bench.thread.calls) == 1
    bench.thread.answer()
    bench.polling.poll()
    assert len(bench.thread.calls) == 1


def test_an_unavailable_store_is_asked_again(bench: Bench) -> None:
    bench.job.answer = StoreUnavailableError("locked")
    bench.polling.poll()
    bench.thread.answer()
    bench.job.answer = STOP
    bench.polling.poll()
    bench.thread.answer()
    assert bench.executed == [STOP]


def test_after_another_error_the_store_is_not_asked_again(bench: Bench) -> None:
    bench.job.answer = LeaseLostError("taken over")
    bench.polling.poll()
    bench.thread.answer()
    bench.polling.poll()
    assert bench.thread.calls == []


def test_orders_that_arrive_after_the_end_are_not_executed(bench: Bench) -> None:
    bench.job.answer = STOP
    bench.polling.poll()
    bench.polling.end()
    bench.thread.answer()
    bench.polling.poll()
    assert (bench.executed, bench.thread.calls) == ([], [])
