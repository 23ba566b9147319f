"""Nothing is sent while a worker does not know that its leases are its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.dispatch.lease_guard import CONFIRMED_SHARE, LeaseGuard
from tests.support.clock import ManualClock, StubEngine

ORPHAN_SECONDS = 30.0
LIMIT_SECONDS = ORPHAN_SECONDS * CONFIRMED_SHARE


class Guarded:
    """A guard, and what it has the committer and the engine do."""

    def __init__(self, *, shared: bool = True) -> None:
        self.clock = ManualClock()
        self.engine = StubEngine()
        self.asked = 0
        self.committer: Any = SimpleNamespace(
            in_touch_at=self.clock.monotonic(), send_soon=self._send_soon
        )
        self.guard = LeaseGuard(
            shared=shared,
            orphan_seconds=ORPHAN_SECONDS,
            committer=self.committer,
            engine=self.engine,
            clock=self.clock,
        )

    def _send_soon(self) -> None:
        self.asked += 1

    def answered(self, sent_ago: float = 0.0) -> None:
        """A batch was committed that was sent so many seconds ago."""
        self.committer.in_touch_at = self.clock.monotonic() - sent_ago
        self.guard.answered()


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


def test_worker_that_was_frozen_sends_nothing_until_the_store_has_answered(
    guarded: Guarded,
) -> None:
    assert guarded.guard.may_send()
    guarded.clock.move(LIMIT_SECONDS + 1)
    assert not guarded.guard.may_send()
    assert guarded.guard.waits
    assert guarded.asked == 1
    guarded.answered()
    assert (guarded.engine.queues_sent, guarded.engine.woken) == (1, 1)
    assert guarded.guard.may_send()
    assert not guarded.guard.waits


def test_answer_to_what_was_sent_before_the_freeze_confirms_nothing(guarded: Guarded) -> None:
    guarded.clock.move(LIMIT_SECONDS + 1)
    assert not guarded.guard.may_send()
    guarded.answered(sent_ago=LIMIT_SECONDS + 0.5)
    assert guarded.engine.queues_sent == 0
    assert not guarded.guard.may_send()
    assert guarded.asked > 1, "the store is asked again"


def test_short_pause_holds_nothing_back(guarded: Guarded) -> None:
    guarded.clock.move(LIMIT_SECONDS - 1)
    assert guarded.guard.may_send()
    assert guarded.asked == 0
    guarded.answered()
    assert guarded.engine.queues_sent == 0


def test_worker_that_was_fenced_never_sends_again(guarded: Guarded) -> None:
    guarded.clock.move(LIMIT_SECONDS + 1)
    assert not guarded.guard.may_send()
    guarded.guard.lose()
    assert guarded.engine.queues_dropped == 1
    assert not guarded.guard.may_send()
    assert not guarded.guard.waits
    assert guarded.engine.queues_sent == 0


def test_job_with_one_owner_is_asked_for_after_a_freeze_alone() -> None:
    guarded = Guarded(shared=False)
    for _ in range(100):
        guarded.clock.move(LIMIT_SECONDS - 1)
        assert guarded.guard.may_send(), "a store that is out holds nothing back"
    guarded.clock.move(LIMIT_SECONDS + 1)
    assert not guarded.guard.may_send()
    guarded.clock.move(0.1)
    guarded.answered(sent_ago=1)
    assert not guarded.guard.may_send(), "that was sent before"
    guarded.answered()
    assert guarded.guard.may_send()
    assert guarded.engine.queues_sent == 1
    guarded.guard.lose()
    assert not guarded.guard.may_send()
