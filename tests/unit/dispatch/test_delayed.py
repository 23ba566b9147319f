"""Delayed requests, on a clock that the test moves: when they are due, and when a run gives up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from scrapy_resume.commits.committer import Committer
from scrapy_resume.dispatch.delayed import LATER, OVERDUE_SECONDS, DelayedRows
from scrapy_resume.frontier.retries import LATE_SECONDS, LONGEST_TIMER_SECONDS
from scrapy_resume.frontier.row import Row
from scrapy_resume.politeness.host_breaker import HostBreakers
from tests.support.clock import ManualClock, StubEngine

PATIENCE_SECONDS = 60.0


class Bench:
    """Delayed rows of a run that waits for at most a minute."""

    def __init__(self) -> None:
        self.clock, self.engine = ManualClock(), StubEngine()
        self.breakers = SimpleNamespace(next_due=0.0)
        self.sends: list[float] = []
        self.due: list[int] = []
        self.delayed = DelayedRows(
            PATIENCE_SECONDS,
            cast(HostBreakers, self.breakers),
            cast(Committer, SimpleNamespace(send_soon=lambda: self.sends.append(self.clock.now))),
            self.engine,
            self.clock,
        )

    def hold(self, row_id: int, seconds: float) -> None:
        row = Row(row_id, bytes(20), recorded=False)
        row.not_before = self.clock.now + seconds
        self.delayed.hold(row, lambda due: self.due.append(due.id))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_batch_is_sent_when_the_first_row_in_the_store_is_due(bench: Bench) -> None:
    bench.delayed.set_next_due(bench.clock.now + 30)
    bench.clock.move(29)
    assert bench.sends == []
    bench.clock.move(1 + LATE_SECONDS)
    assert len(bench.sends) == 1
    bench.clock.move(1_000)
    assert len(bench.sends) == 1


def test_a_row_that_becomes_due_earlier_replaces_the_one_that_is_waited_for(bench: Bench) -> None:
    bench.delayed.set_next_due(bench.clock.now + 30)
    bench.delayed.set_next_due(bench.clock.now + 10)
    bench.clock.move(10 + LATE_SECONDS)
    assert len(bench.sends) == 1
    bench.clock.move(30)
    assert len(bench.sends) == 1


def test_the_store_is_not_asked_at_once_again_while_its_clock_is_behind(bench: Bench) -> None:
    overdue = bench.clock.now - 1
    bench.delayed.set_next_due(overdue)
    assert bench.sends == []
    bench.clock.move(OVERDUE_SECONDS)
    assert len(bench.sends) == 1
    bench.delayed.set_next_due(overdue)
    assert len(bench.sends) == 1
    bench.clock.move(OVERDUE_SECONDS)
    assert len(bench.sends) == 2


def test_rows_are_held_until_they_are_due(bench: Bench) -> None:
    bench.hold(1, 20)
    bench.hold(2, 10)
    assert len(bench.delayed) == 2
    bench.clock.move(15)
    assert bench.due == [2]
    assert len(bench.delayed) == 1
    bench.clock.move(15)
    assert bench.due == [2, 1]
    assert not len(bench.delayed)


def test_a_row_may_be_due_later_than_the_longest_timer(bench: Bench) -> None:
    bench.hold(1, LONGEST_TIMER_SECONDS + 10)
    bench.clock.move(LONGEST_TIMER_SECONDS)
    assert bench.due == []
    bench.clock.move(10 + LATE_SECONDS)
    assert bench.due == [1]


def test_a_run_whose_first_row_is_due_too_late_is_closed_at_once(bench: Bench) -> None:
    bench.delayed.set_next_due(bench.clock.now + PATIENCE_SECONDS + 1)
    bench.delayed.close_if_too_long(3)
    assert bench.engine.closed == [LATER] == ["resume_later"]


def test_the_first_of_rows_here_rows_in_the_store_and_hosts_decides(bench: Bench) -> None:
    bench.delayed.set_next_due(bench.clock.now + 1_000)
    bench.hold(1, 900)
    bench.breakers.next_due = bench.clock.now + PATIENCE_SECONDS - 1
    bench.delayed.close_if_too_long(1)
    assert bench.engine.closed == []
    bench.breakers.next_due = 0.0
    bench.delayed.close_if_too_long(1)
    assert bench.engine.closed == [LATER]


def test_the_patience_is_for_the_whole_wait_and_begins_anew_after_other_work(bench: Bench) -> None:
    def wait(seconds: float) -> None:
        """Nothing else is left meanwhile; the host's next probe is always 20 s away."""
        bench.clock.move(seconds)
        bench.breakers.next_due = bench.clock.now + 20
        bench.delayed.close_if_too_long(1)

    wait(0)
    wait(30)
    bench.delayed.restart_patience()
    wait(10)
    wait(39)
    assert bench.engine.closed == []
    wait(2)
    assert bench.engine.closed == [LATER]


def test_nothing_is_due_any_more_once_the_run_ends(bench: Bench) -> None:
    bench.hold(1, 10)
    bench.delayed.set_next_due(bench.clock.now + 10)
    bench.delayed.end()
    bench.delayed.set_next_due(bench.clock.now + 20)
    bench.clock.move(1_000)
    assert bench.due == []
    assert bench.sends == []
