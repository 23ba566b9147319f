"""Steps that return, raise or do what no step should: an attempt that has failed, and no more."""

from __future__ import annotations

import math
from collections import UserDict
from datetime import timedelta
from typing import Any

import pytest
import scrapy
from twisted.internet.defer import Deferred

from scrapy_resume import RetryStep, step
from scrapy_resume.model import StepState
from scrapy_resume.steps import StepIncomplete
from scrapy_resume.steps.hung import PATIENCE_SECONDS
from scrapy_resume.store.contract import StepAttempt
from tests.unit.steps.working import DONE, PENDING, Work, coroutine_step, counts, leased, plan_of


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


class Other(scrapy.Item):
    a = scrapy.Field()


class NoFuture:
    def __await__(self) -> Any:
        yield


def circle() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["a"] = found
    return found


def deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(100_000):
        found = {"a": found}
    return found


def ended(give: Any, **options: Any) -> tuple[StepAttempt, Any]:
    """What an attempt that returns, or raises, ``give`` comes to: the attempt, and the item."""
    work = Work(plan_of(coroutine_step(give, name="a", **options)))
    work.lease(leased("a"))
    assert work.hold.count == 0
    assert work.job.marked == []
    (change,) = work.send().changes
    (attempt,) = change.attempts
    return attempt, change.payload


RETURNED = {
    "text": "a",
    "bytes": b"a",
    "set": {"a"},
    "pairs": [("a", 1)],
    "number": 1,
    "false": False,
    "class": dict,
    "generator": (number for number in range(3)),
    "keys that are numbers": {1: 2},
    "keys of all kinds": {"a": 1, None: 2},
    "a lock": {"a": __import__("threading").Lock()},
    "a response's body as a view": {"a": memoryview(b"x")},
    "itself": circle(),
    "a deep one": deep(),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_what_is_no_dict_of_fields_is_a_failed_attempt(kind: str) -> None:
    attempt, payload = ended(RETURNED[kind])
    assert (attempt.state, attempt.attempts) == (PENDING, 1), attempt
    assert attempt.error in ("TypeError", "StepResultError"), attempt
    assert attempt.message
    assert payload is None, "the item is as it was"


@pytest.mark.parametrize(
    "given", [{"a": 1}, UserDict(a=1), Other(a=1), {"a": math.nan}, {"a": "x" * 10_000_000}, {}]
)
def test_any_mapping_of_fields_is_merged(given: Any) -> None:
    attempt, payload = ended(given)
    assert (attempt.state, attempt.gave) == (DONE, tuple(given))
    assert (payload is None) == (not given)


@pytest.mark.parametrize("give", [Deferred(), NoFuture()])
def test_a_function_that_returns_something_to_wait_for_is_told_how_it_is_written(give: Any) -> None:
    def a(item: Any) -> Any:
        return give

    work = Work(plan_of(step(a)))
    work.lease(leased("a"))
    work.threads.work()
    (change,) = work.send().changes
    assert change.attempts[0].error == "TypeError"
    if not isinstance(give, Deferred):
        assert "async def" in str(change.attempts[0].message)


@pytest.mark.parametrize(
    "error",
    [Silent(), ValueError("x" * 10_000_000), ValueError("\0\ud800"), StopIteration(1)],
    ids=["silent", "long", "surrogates", "StopIteration"],
)
def test_an_error_whatever_its_message_is_a_failed_attempt(error: Exception) -> None:
    attempt, _ = ended(error)
    assert attempt.state is PENDING
    assert attempt.error is not None
    assert len(str(attempt.message)) <= 2_100


@pytest.mark.parametrize("fields", [None, "text", [1], {1: 2}, 7])
def test_a_part_that_is_no_dict_of_fields_is_not_kept(fields: Any) -> None:
    attempt, payload = ended(StepIncomplete("half", fields))
    assert attempt.state is PENDING
    assert attempt.attempts == 1
    assert payload is None


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_a_program_ends_an_attempt_in_a_thread(error: BaseException) -> None:
    @step(max_attempts=1)
    def a(item: Any) -> None:
        raise error

    work = Work(plan_of(a))
    work.lease(leased("a"))
    call, done = work.threads.waiting.pop()
    try:
        call()
    except BaseException as raised:
        done(None, raised)
    (change,) = work.send().changes
    assert change.attempts[0].state is StepState.failed
    assert change.attempts[0].error == type(error).__name__


@pytest.mark.parametrize("after", ["300", timedelta(seconds=5), math.nan, math.inf, True])
def test_a_time_to_be_tried_again_that_is_none_is_an_error_of_the_step(after: Any) -> None:
    attempt, _ = ended(RetryStep(after=after), retry_delay=0)
    assert (attempt.state, attempt.attempts, attempt.error) == (PENDING, 1, "TypeError")
    assert "takes seconds" in str(attempt.message)


def test_a_time_beyond_all_calendars_is_one_that_can_be_shown() -> None:
    attempt, _ = ended(RetryStep(after=1e300))
    assert attempt.not_before < 4e9


def test_a_time_that_has_passed_is_now() -> None:
    attempt, _ = ended(RetryStep(after=-0.1))
    assert (attempt.state, attempt.attempts, attempt.not_before) == (PENDING, 0, 0.0)


def test_a_thread_that_cannot_be_started_is_a_failed_attempt() -> None:
    work = Work(plan_of(step(lambda item: None)), places=1)

    def run(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    work.threads.run = run  # type: ignore[method-assign]
    name = next(iter(work.runner.plan.by_name))
    work.lease(leased(name, item=1), leased(name, item=2))
    changes = work.send().changes
    assert [change.attempts[0].error for change in changes] == ["RuntimeError"] * 2
    assert work.hold.count == 0
    assert work.job.marked == []


def hanging(**options: Any) -> Any:
    @step(timeout=5, max_attempts=1, **options)
    def hangs(item: Any) -> dict[str, Any]:
        return {"late": True}

    return hangs


def test_a_run_whose_places_are_all_held_by_calls_that_hang_has_nothing_left_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work(plan_of(hanging()), places=2)
    work.lease(*(leased("hangs", item=n) for n in range(4)), counts=counts(hangs=4))
    work.clock.move(6)
    assert "no step can begin: 2 calls of steps go on past their timeout: hangs (2)" in caplog.text
    assert work.runner.has_pending, "they may end yet"
    work.send(counts=counts(hangs=2))
    work.clock.move(PATIENCE_SECONDS + 1)
    assert not work.runner.has_pending
    assert work.runner.holds_any
    assert work.runner.error is not None
    assert work.runner.error[0] == "StepsHangError"
    work.threads.work()
    assert work.runner.has_pending, "one has ended, and the next has begun"
    assert work.runner.error is None
    assert len(work.threads.waiting) == 2


def test_a_step_whose_own_limit_is_used_up_by_calls_that_hang_does_not_keep_the_run_open() -> None:
    @step
    def quick(item: Any) -> None: ...

    work = Work(plan_of(hanging(concurrency=1), quick), places=3)
    work.lease(leased("hangs", item=1), leased("quick", item=2), counts=counts(hangs=2, quick=1))
    work.clock.move(6)
    work.send(counts=counts(hangs=1, quick=1), ready={"hangs": 1})
    work.clock.move(PATIENCE_SECONDS - 10)
    assert work.runner.has_pending, "another step runs"
    work.threads.work()
    work.send(counts=counts(hangs=1), ready={"hangs": 1})
    assert work.runner.has_pending, "it may end yet"
    work.clock.move(11)
    assert work.runner.hangs
    assert not work.runner.has_pending
