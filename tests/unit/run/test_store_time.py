"""Times on their way between a run's clock and the store's."""

from __future__ import annotations

import json

import pytest

from scrapy_resume.run.store_time import TOLERANCE_SECONDS, StoreTime
from scrapy_resume.store.contract import Admission, Batch, Committed, HostNote, Release
from tests.support.clock import ManualClock

HOURS = 18_000.0


def arrival(not_before: float) -> Admission:
    return Admission(
        id=1,
        identity=b"",
        parent=0,
        url="",
        payload="",
        slot="",
        priority=0,
        start=0,
        seq=1,
        unit=1,
        not_before=not_before,
    )


def note(until: float) -> HostNote:
    return HostNote("shop", json.dumps({"open_until": until, "wait_until": 0.0}))


def until(note: HostNote) -> float:
    found: float = json.loads(note.record)["open_until"]
    return found


@pytest.mark.parametrize("ahead", [-HOURS, HOURS], ids=["slow", "fast"])
def test_waits_are_the_same_by_both_clocks(ahead: float) -> None:
    clock = ManualClock()
    store_time = StoreTime(clock.time() + ahead, clock)
    sent = Batch(
        next_id=2,
        arrivals=[arrival(clock.time() + 30), arrival(0.0)],
        releases=[Release(2, 1, clock.time() + 40), Release(3, 1)],
        hosts=[note(clock.time() + 50)],
    )
    store_time.to_store(sent)
    store_now = clock.time() + ahead
    assert [a.not_before for a in sent.arrivals] == [store_now + 30, 0.0]
    assert [r.not_before for r in sent.releases] == [store_now + 40, 0.0]
    assert until(sent.hosts[0]) == store_now + 50
    answer = Committed(next_due=store_now + 30, now=store_now)
    answer.sharing.hosts = sent.hosts
    store_time.from_store(answer)
    assert answer.next_due == clock.time() + 30
    assert until(answer.sharing.hosts[0]) == clock.time() + 50
    nothing_due = Committed()
    store_time.from_store(nothing_due)
    assert nothing_due.next_due == 0.0


def test_clocks_in_step_change_nothing() -> None:
    clock = ManualClock()
    store_time = StoreTime(clock.time() - TOLERANCE_SECONDS / 2, clock)
    sent = Batch(next_id=2, arrivals=[arrival(7.25)], hosts=[note(8.25)])
    store_time.to_store(sent)
    assert sent.arrivals[0].not_before == 7.25
    assert sent.hosts == [note(8.25)]


def test_clock_that_is_set_is_noticed_with_the_next_answer() -> None:
    clock = ManualClock()
    store_time = StoreTime(clock.time(), clock)
    assert not store_time.answered(clock.time(), clock.monotonic())
    assert store_time.answered(clock.time() - HOURS, clock.monotonic())
    assert not store_time.answered(clock.time() - HOURS, clock.monotonic())
    answer = Committed(next_due=clock.time() - HOURS + 10)
    store_time.from_store(answer)
    assert answer.next_due == clock.time() + 10


def test_commit_that_takes_long_is_not_taken_for_a_clock_that_was_set() -> None:
    clock = ManualClock()
    store_time = StoreTime(clock.time(), clock)
    sent_at, began = clock.monotonic(), clock.time()
    clock.move(300)
    for store_now in (began, began + 150, began + 300):
        assert not store_time.answered(store_now, sent_at)


def test_store_that_does_not_tell_its_time_is_taken_to_have_the_runs() -> None:
    clock = ManualClock()
    store_time = StoreTime(0.0, clock)
    assert not store_time.answered(0.0, clock.monotonic())
    sent = Batch(next_id=2, arrivals=[arrival(7.0)])
    store_time.to_store(sent)
    assert sent.arrivals[0].not_before == 7.0
