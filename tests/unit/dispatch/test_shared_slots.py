"""A worker asks shared slots for what it can send, and says that it starves only if it does."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from scrapy import Request

from scrapy_resume.commits.committer import Committer
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.dispatch.shared_slots import FIRST_POLL_SECONDS, MORE_SECONDS
from scrapy_resume.dispatch.workers import LISTEN_SECONDS, POLL_SECONDS, Workers
from scrapy_resume.frontier.every_run import EveryRunGate
from scrapy_resume.frontier.lease_quota import LeaseQuota
from scrapy_resume.frontier.row import Row, rank_of
from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import (
    Batch,
    Committed,
    JobStore,
    LeasedRow,
    RowIds,
    Session,
    Sharing,
    SharingAnswer,
    StartState,
)
from tests.support.clock import ManualClock, StubEngine

SLOT = "shop.test"


def row(row_id: int) -> Row:
    made = Row(row_id, row_id.to_bytes(20, "big"), recorded=True)
    made.slot = SLOT
    made.rank = rank_of(0, 0, -row_id, every_run=False)
    return made


def leased(row_id: int) -> LeasedRow:
    identity = row_id.to_bytes(20, "big")
    return LeasedRow(row_id, identity, 0, f"http://{SLOT}/", "{}", SLOT, 0, 0, 0, row_id, 0, 0, 0)


class SentSoon:
    """A committer that only counts how often a batch was to be sent at once."""

    def __init__(self, clock: ManualClock) -> None:
        self.in_touch_at = clock.now
        self.count = 0

    def send_soon(self) -> None:
        self.count += 1


class Worker:
    """One of three, that may have four requests at a time."""

    def __init__(self) -> None:
        self.clock, self.engine = ManualClock(), StubEngine(idle=False)
        self.room = self.engine.sendable
        self.room.total = 4
        quota = LeaseQuota(4, self.engine, self.clock)
        self.frontier = SharedLeaseBuffer(
            quota, concurrency=4, by_slot=True, pending={}, every_run=EveryRunGate()
        )
        self.quota = quota
        session = Session(
            job=JobKey("job", 1),
            run=1,
            epoch=1,
            began=True,
            crashed=False,
            ids=RowIds(first=1),
            start=StartState(exhausted=True),
            sharing=Sharing(shared=True, others=2),
        )
        job = cast(JobStore, SimpleNamespace(session=session))
        self.committer = SentSoon(self.clock)
        ports = (cast(Committer, self.committer), self.engine, self.clock)
        unused = cast(Any, None)
        self.dispatcher = Dispatcher(job, self.frontier, unused, unused, *ports)
        self.fleet = Workers(session, self.frontier, self.dispatcher, 0.0, *ports)

    def send(self) -> Batch:
        """The next batch that goes out."""
        batch = Batch(next_id=10)
        self.frontier.look_for_room()
        self.frontier.lease_arrivals(batch.arrivals)
        batch.leasing.wishes = self.frontier.wishes()
        self.fleet.complete(batch)
        return batch

    def answer(self, batch: Batch, *rows: LeasedRow, **sharing: Any) -> None:
        self.frontier.begin_answer()
        answer = SharingAnswer(others=2, others_at_work=True, slots_found=len(rows), **sharing)
        self.fleet.answered(batch, Committed(leased=list(rows), sharing=answer))
        for one in rows:
            self.frontier.push(row(one.id))

    def ask_in_vain(self) -> Batch:
        batch = self.send()
        self.answer(batch)
        return batch


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_a_worker_that_joins_others_leases_no_more_than_it_can_send(worker: Worker) -> None:
    assert worker.quota.limited


def test_it_asks_for_what_the_engine_can_send(worker: Worker) -> None:
    sharing = worker.send().sharing
    assert (sharing.rows_wanted, sharing.slots_wanted, sharing.slots_enough) == (4, 4, False)
    worker.answer(Batch(next_id=1), leased(1), leased(2), leased(3))
    sharing = worker.send().sharing
    assert (sharing.rows_wanted, sharing.slots_enough) == (1, True), "three are to be sent"


def test_it_asks_for_nothing_while_the_engine_is_full(worker: Worker) -> None:
    worker.room.total = 0
    sharing = worker.send().sharing
    assert (sharing.slots_wanted, sharing.slots_enough) == (0, True)


def test_it_asks_for_nothing_twice(worker: Worker) -> None:
    worker.frontier.set_pending(SLOT, 50)
    batch = worker.send()
    assert [wish.count for wish in batch.leasing.wishes] == [4]
    assert batch.sharing.slots_wanted == 0


def test_with_a_full_slot_it_is_busy_and_asks_for_others_now_and_then(worker: Worker) -> None:
    worker.room.by_slot[SLOT] = 0
    sharing = worker.ask_in_vain().sharing
    assert (sharing.slots_wanted, sharing.slots_enough) == (4, True)
    assert sharing.slots_passed_over == [SLOT]
    assert worker.send().sharing.slots_wanted == 0
    worker.clock.now += MORE_SECONDS
    assert worker.send().sharing.slots_wanted == 4


def test_rows_of_blocked_hosts_are_not_asked_for(worker: Worker) -> None:
    worker.frontier.block("down.test")
    assert worker.send().sharing.slots_passed_over == ["down.test"]


def test_it_asks_for_nothing_while_a_suspect_runs_alone(worker: Worker) -> None:
    worker.dispatcher.alone = row(7)
    assert worker.send().sharing.slots_wanted == 0


def test_who_ends_does_not_starve(worker: Worker) -> None:
    worker.fleet.end()
    sharing = worker.send().sharing
    assert (sharing.slots_wanted, sharing.slots_enough) == (0, True)


def polls(worker: Worker, seconds: float) -> int:
    """How often it asks the store in vain in that time."""
    count = worker.committer.count
    end = worker.clock.now + seconds
    worker.answer(worker.send())
    while worker.clock.now < end:
        worker.fleet.poll_if_needed()
        before = worker.committer.count
        worker.clock.move(0.01)
        if worker.committer.count > before:
            worker.answer(worker.send())
    return worker.committer.count - count


def test_who_starves_asks_again_soon_then_less_often(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: (least + most) / 2)
    assert polls(worker, 3.5 * FIRST_POLL_SECONDS) == 2
    assert 7 <= polls(worker, 8 * POLL_SECONDS) <= 9, "as often as any worker that has nothing"


def test_what_cannot_be_sent_is_released_when_another_worker_starves(worker: Worker) -> None:
    for number in range(1, 8):
        worker.frontier.push(row(number))
    worker.answer(Batch(next_id=1), one_starves=True)
    worker.room.total = 1
    worker.frontier.look_for_room()
    assert [one.id for one in worker.frontier.lease_arrivals([])] == [6, 5, 4, 3, 2, 1]


def test_what_waits_in_the_downloader_goes_back_when_another_worker_starves(
    worker: Worker,
) -> None:
    memory_only = row(3)
    memory_only.recorded = False
    worker.engine.queued = [row(1), row(2), memory_only]
    worker.answer(Batch(next_id=1))
    assert not worker.engine.held_back
    worker.answer(Batch(next_id=1), one_starves=True)
    assert [one.id for one in worker.engine.held_back] == [1, 2]


def test_one_request_waits_on_for_the_delay_of_its_slot(worker: Worker) -> None:
    worker.room.delays[SLOT] = 0.5
    worker.engine.queued = [row(1), row(2), row(3)]
    worker.answer(Batch(next_id=1), one_starves=True)
    assert [one.id for one in worker.engine.held_back] == [2, 3]


def test_the_engine_is_woken_when_the_delay_of_a_slot_is_over(worker: Worker) -> None:
    """The downloader sends what waits in the slot, and nobody asks for the next one then."""
    worker.frontier.push(row(1))
    worker.room.by_slot[SLOT], worker.room.delays[SLOT] = 0, 0.5
    assert worker.dispatcher.next_row() is None
    assert worker.dispatcher.next_row() is None
    woken = worker.engine.woken
    worker.clock.move(0.24)
    assert worker.engine.woken == woken
    worker.clock.move(0.02)
    assert worker.engine.woken == woken + 1, "once, and no later than half of the delay"


@pytest.mark.parametrize("where", ["lease buffer", "downloader"])
def test_who_holds_leased_requests_hears_of_the_others(worker: Worker, where: str) -> None:
    """Pages that take long send no batch."""
    worker.clock.now += LISTEN_SECONDS
    worker.fleet.listen()
    assert worker.committer.count == 0, "nothing is leased"
    if where == "downloader":
        worker.dispatcher.dispatched[Request(f"http://{SLOT}/1")] = row(1)
    else:
        worker.frontier.push(row(1))
    worker.fleet.listen()
    assert worker.committer.count == 1
    worker.committer.in_touch_at = worker.clock.now
    worker.fleet.listen()
    assert worker.committer.count == 1, "it has just heard"
