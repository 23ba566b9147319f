"""Batches are sent in order, one at a time; producers wait while too much is uncommitted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.commits.committer import BACKLOG_LIMIT, BATCH_SIZE, Committer
from scrapy_resume.errors import (
    LeaseLostError,
    StateNotRecordableError,
    StoreUnavailableError,
)
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.store.contract import Batch, Closing, Committed, Release, RowIds
from tests.support.coroutines import in_event_loop


class Thread:
    """Takes calls; they run when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Any], Callable[[Any], None], Any]] = []
        self.stopped = False

    def submit(self, call: Any, done: Any, failed: Any, out: Any) -> None:
        self.calls.append((call, done, failed))

    def answer(self) -> None:
        call, done, _ = self.calls.pop(0)
        done(call())

    def fail(self, error: Exception) -> None:
        self.calls.pop(0)[2](error)

    def give_up_soon(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True


class Job:
    def __init__(self) -> None:
        self.session = SimpleNamespace(ids=RowIds(first=1))
        self.kept: list[Batch] = []
        self.closings: list[Closing] = []

    def commit(self, batch: Batch) -> Committed:
        self.kept.append(batch)
        return Committed()

    def close(self, closing: Closing) -> str:
        self.closings.append(closing)
        return closing.status


class Participant:
    def __init__(self) -> None:
        self.answers = 0
        self.errors: list[Exception] = []
        self.trouble: BaseException | None = None
        self.trouble_with_answers: Exception | None = None

    def complete(self, batch: Batch) -> None:
        if self.trouble is not None:
            raise self.trouble

    def answered(self, batch: Batch, answer: Committed) -> None:
        if self.trouble_with_answers is not None:
            raise self.trouble_with_answers
        self.answers += 1

    def store_unavailable(self) -> None:
        pass

    def store_failed(self, error: Exception) -> None:
        self.errors.append(error)

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        self.last_batch = (status, reason)


class Bench:
    def __init__(self, interval: float = 0.02) -> None:
        self.job, self.thread, self.participant = Job(), Thread(), Participant()
        self.committer = Committer(
            self.job,  # type: ignore[arg-type]
            self.thread,  # type: ignore[arg-type]
            self.participant,
            interval,
            AsyncioClock(),
        )

    def release(self, row: int) -> None:
        self.committer.begin_entry().releases.append(Release(row, 0))

    async def sent(self, count: int = 1) -> None:
        async def until() -> None:
            while len(self.thread.calls) < count:
                await asyncio.sleep(0.001)

        await asyncio.wait_for(until(), 5)

    def rows(self) -> list[list[int]]:
        return [[release.id for release in batch.releases] for batch in self.job.kept]


@in_event_loop
async def test_a_batch_goes_after_the_interval_with_all_that_was_collected() -> None:
    bench = Bench()
    bench.release(1)
    bench.release(2)
    assert not bench.thread.calls
    await bench.sent()
    bench.thread.answer()
    assert bench.rows() == [[1, 2]]
    assert bench.committer.idle


@in_event_loop
async def test_one_batch_is_in_flight_at_a_time_and_the_order_stays() -> None:
    bench = Bench()
    bench.release(1)
    bench.committer.send_soon()
    await bench.sent()
    bench.release(2)
    bench.committer.send_soon()
    await asyncio.sleep(0.03)
    assert len(bench.thread.calls) == 1
    bench.thread.answer()
    await bench.sent()
    bench.thread.answer()
    assert bench.rows() == [[1], [2]]


@in_event_loop
async def test_a_large_batch_goes_before_its_time() -> None:
    bench = Bench(interval=60)
    for row in range(BATCH_SIZE):
        bench.release(row)
    await bench.sent()
    assert len(bench.thread.calls) == 1


@in_event_loop
async def test_a_busy_loop_does_not_hold_a_batch_back() -> None:
    bench = Bench(interval=0.001)
    bench.release(1)
    deadline = asyncio.get_running_loop().time() + 0.002
    while asyncio.get_running_loop().time() < deadline:
        """The event loop gets no turn."""
    bench.release(2)
    assert len(bench.thread.calls) == 1


@in_event_loop
async def test_producers_wait_while_much_is_uncommitted() -> None:
    bench = Bench()
    for row in range(BACKLOG_LIMIT):
        bench.release(row)
    waiter = asyncio.ensure_future(bench.committer.wait_for_room())
    await bench.sent()
    assert not waiter.done()
    bench.thread.answer()
    await asyncio.wait_for(waiter, 5)
    assert not bench.committer.full


@in_event_loop
async def test_waiting_for_commits_includes_all_entries_before_and_none_after() -> None:
    bench = Bench()
    bench.release(1)
    first = asyncio.ensure_future(bench.committer.wait_committed())
    await bench.sent()
    bench.release(2)
    second = asyncio.ensure_future(bench.committer.wait_committed(5))
    await asyncio.sleep(0)
    bench.thread.answer()
    assert await first
    await bench.sent()
    assert not second.done()
    bench.thread.answer()
    assert await second
    assert bench.rows() == [[1], [2]]


@in_event_loop
async def test_nothing_is_committed_once_the_committer_is_sealed() -> None:
    bench = Bench()
    bench.release(1)
    waiting = asyncio.ensure_future(bench.committer.wait_committed())
    await bench.sent()
    bench.committer.seal()
    assert not await waiting
    assert not await bench.committer.wait_committed()


@in_event_loop
async def test_a_store_that_is_out_at_the_end_is_waited_for_so_long_and_no_longer() -> None:
    bench = Bench()
    bench.release(1)
    assert not await bench.committer.wait_committed(0.05)


@in_event_loop
async def test_after_a_fenced_commit_nothing_is_accepted() -> None:
    bench = Bench()
    bench.release(1)
    await bench.sent()
    error = LeaseLostError("taken over")
    bench.thread.fail(error)
    assert bench.participant.errors == [error]
    bench.release(2)
    await asyncio.sleep(0.03)
    assert not bench.thread.calls
    assert not await bench.committer.wait_committed(5)


@in_event_loop
async def test_a_batch_is_not_sent_without_state_that_cannot_be_serialized() -> None:
    bench = Bench()
    bench.participant.trouble = StateNotRecordableError("spider.state['x']")
    bench.release(1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(bench.sent(), 0.05)
    assert bench.participant.errors == [bench.participant.trouble]
    assert bench.job.kept == []


@pytest.mark.parametrize("trouble", [ValueError("codec"), asyncio.CancelledError("codec")])
@in_event_loop
async def test_a_batch_that_user_code_cannot_complete_ends_the_commits(
    trouble: BaseException,
) -> None:
    bench = Bench()
    bench.participant.trouble = trouble
    bench.release(1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(bench.sent(), 0.05)
    [error] = bench.participant.errors
    assert trouble in (error, error.__cause__)
    assert bench.committer.sealed


@in_event_loop
async def test_the_last_batch_sets_no_timer_while_it_is_completed() -> None:
    """The event loop may be closed by then."""
    bench = Bench()
    bench.release(1)

    def no_timers(*values: Any) -> Any:
        raise RuntimeError("no running event loop")

    def complete(batch: Batch) -> None:
        bench.release(2)
        bench.committer.send_soon()

    bench.committer._clock.call_later = no_timers  # type: ignore[method-assign]
    bench.participant.complete = complete  # type: ignore[method-assign]
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.answer()
    assert bench.rows() == [[1, 2]]


@in_event_loop
async def test_whatever_a_batch_cannot_be_completed_for_ends_the_run() -> None:
    bench = Bench()
    bench.participant.trouble = MemoryError()
    bench.release(1)
    assert not await asyncio.wait_for(bench.committer.wait_committed(), 5)
    assert bench.participant.errors == [bench.participant.trouble]
    assert bench.job.kept == []


@in_event_loop
async def test_whatever_an_answer_cannot_be_applied_for_ends_the_run() -> None:
    bench = Bench()
    bench.participant.trouble_with_answers = MemoryError()
    bench.release(1)
    waiting = asyncio.ensure_future(bench.committer.wait_committed())
    await bench.sent()
    bench.release(2)
    bench.thread.answer()
    assert not await asyncio.wait_for(waiting, 5)
    assert bench.participant.errors == [bench.participant.trouble_with_answers]
    await asyncio.sleep(0.03)
    assert bench.rows() == [[1]]


@in_event_loop
async def test_a_last_batch_that_cannot_be_completed_does_not_keep_the_job_from_being_closed() -> (
    None
):
    bench = Bench()
    bench.release(1)
    bench.participant.trouble = MemoryError()
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.answer()
    assert bench.job.kept == []
    assert [closing.status for closing in bench.job.closings] == ["paused"]


@in_event_loop
async def test_the_last_batch_is_committed_and_the_job_is_closed() -> None:
    bench = Bench()
    bench.release(1)
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.answer()
    assert bench.rows() == [[1]]
    assert [closing.status for closing in bench.job.closings] == ["paused"]
    assert bench.participant.last_batch == ("paused", "shutdown")
    assert bench.thread.stopped


@in_event_loop
async def test_the_last_batch_does_not_follow_one_that_was_not_committed() -> None:
    """The server comes back between the last try of the one and the first of the other: a
    parent's finish is not kept without the child that it was sent after."""
    bench = Bench()
    bench.release(1)
    await bench.sent()
    bench.release(2)
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.fail(StoreUnavailableError("the server is gone"))
    bench.thread.answer()
    assert bench.rows() == []
    assert [closing.status for closing in bench.job.closings] == ["paused"]


@in_event_loop
async def test_an_empty_last_batch_is_not_committed() -> None:
    """It has not been completed: it would set the run's number of pages back to 0."""
    bench = Bench()
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.answer()
    assert bench.job.kept == []
    assert [closing.status for closing in bench.job.closings] == ["paused"]


@in_event_loop
async def test_after_state_that_cannot_be_serialized_no_finish_is_committed_without_it() -> None:
    bench = Bench()
    bench.participant.trouble = StateNotRecordableError("spider.state['x']")
    bench.release(1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(bench.sent(), 0.05)
    bench.committer.send_last_batch(Closing("paused", "shutdown"))
    bench.thread.answer()
    assert bench.job.kept == []
