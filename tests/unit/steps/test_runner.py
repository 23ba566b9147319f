"""What a runner tells the store of the steps that it has leased, and when it begins them."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from scrapy_resume import FailStep, RetryStep, SkipStep, step
from scrapy_resume.model import StepCounts, StepState
from scrapy_resume.steps import StepIncomplete
from scrapy_resume.steps.runner import CARRIED_OVER
from scrapy_resume.store.contract import NewStep, StepAttempt, StepRelease
from tests.unit.steps.working import (
    CODEC,
    DONE,
    PENDING,
    Work,
    coroutine_step,
    counts,
    earlier,
    leased,
    plan_of,
)


def attempt_of(work: Work) -> StepAttempt:
    (change,) = work.send().changes
    (attempt,) = change.attempts
    return attempt


ENDS: dict[str, tuple[Any, StepState, int, str | None]] = {
    "nothing": (None, DONE, 1, None),
    "fields": ({"a": 1}, DONE, 1, None),
    "skip": (SkipStep("why"), StepState.skipped, 1, "SkipStep"),
    "fail": (FailStep("why"), StepState.failed, 1, "FailStep"),
    "retry": (RetryStep(after=30), PENDING, 0, "RetryStep"),
    "raise": (ValueError("why"), PENDING, 1, "ValueError"),
    "list": ([1], PENDING, 1, "TypeError"),
}


@pytest.mark.parametrize("end", ENDS)
def test_how_an_attempt_ends(end: str) -> None:
    give, state, attempts, error = ENDS[end]
    work = Work(plan_of(coroutine_step(give, name="a", version="7")))
    work.lease(leased("a"))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.attempts, attempt.error) == (state, attempts, error)
    assert attempt.version == "7"
    assert work.hold.count == 0
    assert work.job.marked == []
    assert work.committer.entries == 1


def test_retries_wait_twice_as_long_each_and_end() -> None:
    work = Work(plan_of(coroutine_step(ValueError("x"), name="a", retry_delay=10)))
    waits = []
    for attempts in range(2):
        work.lease(leased("a", attempts=attempts))
        attempt = attempt_of(work)
        assert attempt.state is PENDING
        waits.append(attempt.not_before - work.clock.now)
    assert 10 <= waits[0] <= 12.5
    assert 20 <= waits[1] <= 25
    work.lease(leased("a", attempts=2))
    assert attempt_of(work).state is StepState.failed


def test_a_step_that_asks_to_be_tried_later_says_when() -> None:
    work = Work(plan_of(coroutine_step(RetryStep(after=300), name="a", max_attempts=1)))
    work.lease(leased("a"))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.not_before) == (PENDING, work.clock.now + 300)


def test_steps_of_one_item_are_one_change_with_the_fields_of_all() -> None:
    plan = plan_of(coroutine_step({"a": 1}, name="a"), coroutine_step({"b": 2}, name="b"))
    work = Work(plan)
    states = {"a": PENDING, "b": PENDING}
    work.lease(leased("a", states=states), leased("b", states=states))
    (change,) = work.send().changes
    assert {attempt.name: attempt.gave for attempt in change.attempts} == {"a": ("a",), "b": ("b",)}
    assert CODEC.decode_item(change.payload or "") == {"n": 1, "a": 1, "b": 2}


def test_fields_of_a_step_that_ended_before_its_commit_are_not_lost() -> None:
    waits: Deferred[Any] = Deferred()
    plan = plan_of(coroutine_step({"a": 1}, name="a"), coroutine_step(waits, name="b"))
    work = Work(plan)
    states = {"a": PENDING, "b": PENDING}
    work.lease(leased("b", states=states))
    work.lease(leased("a", states=states))
    waits.callback({"b": 2})
    (change,) = work.send().changes
    assert CODEC.decode_item(change.payload or "") == {"n": 1, "a": 1, "b": 2}
    assert len(work.items) == 0


def test_what_waited_for_a_field_is_opened_with_the_result_that_brings_it() -> None:
    plan = plan_of(coroutine_step({"x": 1}, name="a"), coroutine_step(name="b", needs="x"))
    work = Work(plan)
    work.lease(leased("a", states={"a": PENDING, "b": StepState.waiting}))
    (change,) = work.send().changes
    assert list(change.others) == [NewStep("b", PENDING)]
    assert change.visible is None


def test_what_waited_for_a_field_that_will_not_come_is_skipped() -> None:
    plan = plan_of(coroutine_step(name="a"), coroutine_step(name="b", needs="x"))
    work = Work(plan)
    work.lease(leased("a", states={"a": PENDING, "b": StepState.waiting}))
    (change,) = work.send().changes
    reason = "needs x, which the item lacks"
    assert list(change.others) == [NewStep("b", StepState.skipped, reason)]


def test_consumed_fields_are_not_visible_and_kept_only_for_who_may_need_them() -> None:
    for give, kept in (({"length": 1}, False), (FailStep("no"), True)):
        work = Work(plan_of(coroutine_step(give, name="a", needs="html", consumes="html")))
        work.lease(leased("a", content={"n": 1, "html": "x"}))
        (change,) = work.send().changes
        visible = CODEC.decode_item(change.visible or "")
        assert "html" not in visible
        assert change.kept is kept


def test_a_part_of_the_result_of_a_failed_attempt_is_kept() -> None:
    work = Work(plan_of(coroutine_step(StepIncomplete("half", {"a": 1}), name="a")))
    work.lease(leased("a"))
    (change,) = work.send().changes
    assert change.attempts[0].state is PENDING
    assert CODEC.decode_item(change.payload or "") == {"n": 1, "a": 1}


def test_a_result_that_changes_the_items_key_is_a_failed_attempt() -> None:
    work = Work(plan_of(coroutine_step({"n": 2}, name="a")), item_key=lambda item: str(item["n"]))
    work.lease(leased("a"))
    (change,) = work.send().changes
    assert change.payload is None
    assert "changed the key that RESUME_ITEM_KEY gives" in (change.attempts[0].message or "")


def test_an_error_of_the_items_key_is_a_failed_attempt() -> None:
    def key(item: Any) -> str:
        return str(1 / (2 - len(item)))

    work = Work(plan_of(coroutine_step({"a": 2}, name="a")), item_key=key)
    work.lease(leased("a"))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.error) == (PENDING, "StepResultError")
    assert "ZeroDivisionError" in (attempt.message or "")
    assert work.hold.count == 0


def test_a_decorator_that_raises_or_gives_no_coroutine_fails_the_attempt() -> None:
    async def inner(item: Any) -> None:
        """Do nothing."""

    def raises(item: Any) -> Any:
        raise LookupError("not today")

    def gives_nothing(item: Any) -> Any:
        return None

    for outer in (raises, gives_nothing):
        work = Work(plan_of(step(name="a")(functools.wraps(inner)(outer))))
        work.lease(leased("a"))
        attempt = attempt_of(work)
        assert attempt.state is PENDING
        assert attempt.error
        assert work.hold.count == 0


def test_an_async_decorator_of_a_plain_function_is_a_coroutine_function() -> None:
    def inner(item: Any) -> dict[str, Any]:
        return {"a": 1}

    @step(name="a")
    @functools.wraps(inner)
    async def outer(item: Any) -> dict[str, Any]:
        return inner(item)

    work = Work(plan_of(outer))
    work.lease(leased("a"))
    assert attempt_of(work).gave == ("a",)


def test_a_value_that_cannot_be_stored_is_a_failed_attempt() -> None:
    work = Work(plan_of(coroutine_step({"a": object()}, name="a")))
    work.lease(leased("a"))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.error) == (PENDING, "StepResultError")
    assert "cannot be serialized" in (attempt.message or "")


def test_the_result_of_the_version_before_is_taken_over_if_nothing_has_changed() -> None:
    calls: list[int] = []

    @step(needs="x", version="1")
    async def a(item: Any) -> dict[str, Any]:
        calls.append(item["n"])
        return {"a": "new"}

    def run(content: Any, version: str) -> StepAttempt:
        work = Work(plan_of(a))
        result = earlier({"n": 1, "x": 5, "a": "old"}, ["a"], inputs, version)
        work.lease(leased("a", content=content, earlier=result))
        return attempt_of(work)

    work = Work(plan_of(a))
    work.lease(leased("a", content={"n": 1, "x": 5}))
    inputs = attempt_of(work).inputs
    assert calls.pop() == 1
    taken = run({"n": 1, "x": 5, "other": 2}, "1")
    assert (taken.state, taken.attempts, taken.message) == (DONE, 0, CARRIED_OVER)
    assert not calls
    assert run({"n": 1, "x": 5}, "0").message is None, "another version of the code"
    assert run({"n": 1, "x": 6}, "1").message is None, "another field"
    assert len(calls) == 2


def test_a_leased_step_that_lacks_a_field_is_not_run() -> None:
    plan = plan_of(coroutine_step(name="a"), coroutine_step(name="b", needs="x"))
    work = Work(plan)
    work.lease(leased("b", states={"a": DONE}))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.attempts) == (StepState.skipped, 0)
    assert attempt.message == "needs x, which the item lacks"
    work.lease(leased("b", item=2, states={"a": PENDING}))
    assert attempt_of(work).state is StepState.waiting


def test_a_refused_item_is_forgotten_with_all_that_is_here_of_it() -> None:
    waits: Deferred[Any] = Deferred()
    plan = plan_of(coroutine_step(name="a"), coroutine_step(waits, name="b"))
    work = Work(plan)
    work.lease(leased("a"), leased("b"))
    work.send(refused={1})
    assert len(work.items) == 0
    waits.callback({"b": 1})
    assert work.send().changes == []


def test_there_are_so_many_at_a_time_as_there_are_places() -> None:
    waiters: list[Deferred[Any]] = []

    @step
    async def a(item: Any) -> None:
        waiters.append(Deferred())
        await waiters[-1]

    work = Work(plan_of(a), places=2)
    work.lease(*(leased("a", item=item) for item in range(1, 6)))
    assert len(waiters) == 2
    assert len(work.job.marked) == 2
    assert work.hold.count == 2
    waiters[0].callback(None)
    assert len(waiters) == 3


def test_steps_without_a_limit_are_leased_ahead_more_if_none_was_left() -> None:
    work = Work(plan_of(coroutine_step(name="a")), places=4)
    (wish,) = work.send().wishes
    assert wish.count == 8
    work.lease(*(leased("a", item=item) for item in range(1, 9)), ready={"a": 100})
    assert work.committer.sent_soon, "more are there"
    (wish,) = work.send().wishes
    assert wish.count == 16


def test_nothing_is_asked_for_again_at_once_that_was_not_given() -> None:
    work = Work(plan_of(coroutine_step(name="a")))
    work.send(ready={"a": 5})
    assert not work.committer.sent_soon


def test_steps_with_a_limit_are_leased_for_free_places_only() -> None:
    waits: Deferred[Any] = Deferred()
    plan = plan_of(
        coroutine_step(waits, name="a", concurrency=3), coroutine_step(name="b", rate_limit=(5, 60))
    )
    work = Work(plan, places=4)
    wishes = {wish.name: wish for wish in work.send().wishes}
    assert (wishes["a"].count, wishes["a"].concurrency) == (3, 3)
    assert (wishes["b"].count, wishes["b"].rate_count, wishes["b"].rate_seconds) == (1, 5, 60.0)
    work.lease(leased("a", item=1), leased("a", item=2))
    wishes = {wish.name: wish for wish in work.send().wishes}
    assert (wishes["a"].count, wishes["b"].count) == (1, 1)


def test_a_closing_spider_begins_nothing_and_gives_back_what_is_leased() -> None:
    waits: Deferred[Any] = Deferred()
    work = Work(plan_of(coroutine_step(waits, name="a")), places=1)
    work.lease(leased("a", item=1), leased("a", item=2, attempts=1))
    work.engine.closing = True
    report = work.send()
    assert report.releases == [StepRelease(2, "a", 1)]
    assert report.wishes == []
    assert work.hold.count == 1, "what runs is waited for"
    waits.callback(None)
    assert work.hold.count == 0
    assert [change.item for change in work.send().changes] == [1]


def test_a_frozen_runner_counts_nothing() -> None:
    waits: Deferred[Any] = Deferred()
    work = Work(plan_of(coroutine_step(waits, name="a")))
    work.lease(leased("a"))
    work.runner.freeze()
    assert work.job.marked == []
    waits.errback(ValueError("torn down"))
    assert work.send().changes == []
    assert not work.runner.has_pending


def test_a_coroutine_is_cancelled_when_its_time_is_up() -> None:
    waits: Deferred[Any] = Deferred()
    work = Work(plan_of(coroutine_step(waits, name="a", timeout=5)))
    work.lease(leased("a"))
    work.clock.move(4.9)
    assert work.send().changes == []
    work.clock.move(0.2)
    attempt = attempt_of(work)
    assert (attempt.state, attempt.error) == (PENDING, "TimeoutError")
    assert attempt.message == "did not end within its timeout of 5 s"


def test_a_thread_whose_time_is_up_has_failed_but_keeps_its_place() -> None:
    @step(timeout=5)
    def a(item: Any) -> dict[str, Any]:
        return {"late": True}

    work = Work(plan_of(a), places=1)
    work.lease(leased("a", item=1), leased("a", item=2))
    work.clock.move(6)
    assert attempt_of(work).error == "TimeoutError"
    assert work.hold.count == 0, "it cannot hold the exit"
    assert len(work.threads.waiting) == 1, "and lets no other begin"
    assert len(work.job.marked) == 0
    work.threads.work()
    assert len(work.threads.waiting) == 1
    work.threads.work()
    (change,) = work.send().changes
    assert (change.item, change.attempts[0].state) == (2, DONE), "what comes late is not merged"


def test_a_suspect_runs_beside_nothing_else() -> None:
    waits: Deferred[Any] = Deferred()
    work = Work(plan_of(coroutine_step(waits, name="a")))
    work.send(suspects=1, counts=counts(a=1))
    assert work.committer.sent_soon
    work.dispatcher.waits = False
    assert not work.send(suspects=1, counts=counts(a=1)).suspect_wish, "pages are in work"
    work.dispatcher.waits = True
    work.dispatcher.dispatched = {"page": 1}
    report = work.send(suspect=leased("a"), counts=counts(a=1))
    assert report.suspect_wish
    assert report.wishes == []
    assert work.runner.keeps_pages_waiting
    assert work.hold.count == 0, "a page is in flight still"
    work.dispatcher.dispatched = {}
    work.send(counts=counts(a=1))
    assert work.hold.count == 1
    assert work.runner.keeps_pages_waiting
    waits.callback(None)
    assert not work.runner.keeps_pages_waiting
    assert attempt_of(work).state is DONE


def test_no_step_begins_while_a_suspect_page_runs_alone() -> None:
    work = Work(plan_of(coroutine_step(name="a")))
    work.dispatcher.alone = object()
    work.lease(leased("a"))
    assert work.send().changes == []
    work.dispatcher.alone = None
    work.send()
    assert attempt_of(work).state is DONE


def test_a_suspect_page_waits_for_the_steps_that_run() -> None:
    waits: Deferred[Any] = Deferred()
    work = Work(plan_of(coroutine_step(waits, name="a")))
    work.lease(leased("a"))
    assert not work.runner.keeps_pages_waiting
    work.dispatcher.alone = object()
    assert work.runner.keeps_pages_waiting
    waits.callback(None)
    assert not work.runner.keeps_pages_waiting


def test_a_step_that_the_process_has_died_of_alone_is_parked_unrun() -> None:
    work = Work(plan_of(coroutine_step(Deferred(), name="a")))
    work.lease(leased("a", condemned="the process died"))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.message) == (StepState.parked, "the process died")
    assert work.hold.count == 0


def test_the_crawl_stays_open_for_what_can_run_and_not_for_what_cannot() -> None:
    work = Work(plan_of(coroutine_step(name="a")))
    work.send(counts=counts(gone=3), ready={"gone": 3})
    assert not work.runner.has_pending
    assert work.runner.missing == {"gone": 3}
    work.send(counts=counts(a=1), ready={"a": 1})
    assert not work.runner.has_pending, "it was not given"
    running = {"a": StepCounts(running=1)}
    work.send(counts=running)
    assert work.runner.has_pending, "another worker has it"
    work.send(counts=counts(a=1), delayed=1, next_due=work.clock.now + 5)
    assert work.runner.has_pending
    assert work.runner.only_waits
    assert work.runner.waiting_count == 1
    work.send()
    work.committer.idle = False
    assert work.runner.has_pending, "an item on its way may bring some"


def test_steps_that_are_switched_off_are_leased_to_be_skipped() -> None:
    from scrapy_resume.steps.plan import StepPlan

    work = Work(StepPlan((), frozenset({"old"})))
    (wish,) = work.send(counts=counts(old=1)).wishes
    assert wish.name == "old"
    work.lease(leased("old"), counts=counts(old=1))
    attempt = attempt_of(work)
    assert (attempt.state, attempt.attempts) == (StepState.skipped, 0)
    assert attempt.message == "switched off in RESUME_STEPS"
