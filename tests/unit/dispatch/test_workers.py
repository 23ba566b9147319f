"""A slot goes to another worker only when nothing of it is left with this one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from scrapy_resume.commits.committer import Committer
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.dispatch.workers import (
    FOUND_SECONDS,
    POLL_SECONDS,
    WANT_MORE_SECONDS,
    WANT_SECONDS,
    Workers,
)
from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.model import START, JobKey
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Committed,
    JobStore,
    RowIds,
    Session,
    Sharing,
    SharingAnswer,
    SharingReport,
    StartState,
)
from tests.support.clock import ManualClock, StubEngine
from tests.support.rows import leased

DELAY_SECONDS = 0.25


def arrival(row_id: int, slot: str, *, lease: bool = False) -> Admission:
    return Admission(
        id=row_id,
        identity=row_id.to_bytes(20, "big"),
        parent=START,
        url=f"http://{slot}.test/{row_id}",
        payload="{}",
        slot=slot,
        priority=0,
        start=0,
        seq=-row_id,
        unit=row_id,
        lease=lease,
    )


class Worker:
    """One of many, with the slots ``a`` and ``b``, while another one looks for some in vain."""

    def __init__(self) -> None:
        self.frontier = LeaseBuffer(concurrency=4, by_slot=True, pending={}, owns_slots=True)
        session = Session(
            job=JobKey("job", 1),
            run=1,
            epoch=1,
            began=True,
            crashed=False,
            ids=RowIds(first=1),
            start=StartState(exhausted=True),
            sharing=Sharing(shared=True),
        )
        job = cast(JobStore, SimpleNamespace(session=session))
        self.clock, self.engine = ManualClock(), StubEngine()
        self.batches_asked_for = 0
        committer = cast(Committer, SimpleNamespace(send_soon=self._asked_for_batch))
        ports = (committer, self.engine, self.clock)
        unused = cast(Any, None)
        self.dispatcher = Dispatcher(job, self.frontier, unused, unused, *ports)
        self.fleet = Workers(session, self.frontier, self.dispatcher, DELAY_SECONDS, *ports)
        self.fleet.answered(
            Batch(next_id=1), Committed(sharing=SharingAnswer(claimed=["a", "b"], fair_share=1))
        )
        self.frontier.push(leased(1, "a"))
        self.frontier.push(leased(2, "b"))

    def _asked_for_batch(self) -> None:
        self.batches_asked_for += 1

    def send(self, *arrivals: Admission) -> Batch:
        """The batch that goes out with these arrivals."""
        batch = Batch(next_id=10, arrivals=list(arrivals))
        for one in arrivals:
            self.frontier.expect(one.slot)
        self.fleet.choose_slots_to_give()
        self.frontier.lease_arrivals(batch.arrivals)
        batch.leasing.wishes = self.frontier.wishes()
        self.fleet.complete(batch)
        return batch


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_is_over_the_fair_share_is_given(worker: Worker) -> None:
    batch = worker.send()
    (given,) = batch.sharing.slots_given.items()
    assert given in {("a", DELAY_SECONDS), ("b", DELAY_SECONDS)}
    assert [release.id for release in batch.releases] == [1 if given[0] == "a" else 2]


def test_no_new_row_stays_leased_from_a_slot_that_is_given(worker: Worker) -> None:
    batch = worker.send(arrival(3, "a"), arrival(4, "b"))
    (given,) = batch.sharing.slots_given
    assert {one.slot for one in batch.arrivals if one.lease} == {"a", "b"} - {given}


def test_a_slot_with_a_row_that_must_stay_here_is_not_given(worker: Worker) -> None:
    batch = worker.send(arrival(3, "a", lease=True), arrival(4, "b", lease=True))
    assert not batch.sharing.slots_given


def test_a_slot_of_a_row_that_waits_to_run_alone_is_not_given(worker: Worker) -> None:
    worker.dispatcher.alone = leased(5, "b")
    worker.fleet.slots.hand_over(2, {})
    assert set(worker.send().sharing.slots_given) == {"a"}


def test_nothing_is_asked_for_from_a_slot_that_is_given(worker: Worker) -> None:
    worker.frontier.set_pending("a", 50)
    worker.frontier.set_pending("b", 50)
    worker.frontier.refill_empty_queues()
    batch = worker.send()
    assert not {wish.slot for wish in batch.leasing.wishes} & set(batch.sharing.slots_given)


def test_slots_that_only_rest_do_not_keep_a_worker_from_taking_more(worker: Worker) -> None:
    batch = worker.send()
    assert batch.sharing.slots_wanted == worker.frontier.concurrency - 1, "one of two is given away"
    worker.engine.resting = True
    batch = worker.send()
    assert batch.sharing.slots_wanted == worker.frontier.concurrency


@pytest.mark.parametrize(("slots", "seconds"), [(3, WANT_SECONDS), (4, WANT_MORE_SECONDS)])
def test_a_worker_with_enough_slots_that_rest_asks_rarely_in_vain(
    worker: Worker, slots: int, seconds: float
) -> None:
    worker.engine.resting = True
    for row in range(3, slots + 1):
        worker.fleet.slots.own([f"slot-{row}"])
        worker.frontier.push(leased(row, f"slot-{row}"))
    worker.fleet.answered(Batch(next_id=1, sharing=SharingReport(slots_wanted=4)), Committed())
    worker.clock.now += seconds - 0.01
    assert worker.send().sharing.slots_wanted == 0
    worker.clock.now += 0.02
    assert worker.send().sharing.slots_wanted == 4


@pytest.mark.parametrize(
    ("resting", "found", "soon"),
    [(True, 4, True), (True, 3, False), (False, 4, False)],
    ids=["all found", "no more there", "they are busy"],
)
def test_a_worker_that_found_all_slots_it_wanted_soon_asks_for_more(
    worker: Worker, resting: bool, found: int, soon: bool
) -> None:
    claimed = [f"slot-{number}" for number in range(found)]
    answer = Committed(sharing=SharingAnswer(claimed=claimed, slots_found=found))
    worker.fleet.answered(Batch(next_id=1, sharing=SharingReport(slots_wanted=4)), answer)
    for row, slot in enumerate(claimed, start=3):
        worker.frontier.push(leased(row, slot))
    worker.fleet.poll_if_needed()
    worker.engine.resting = resting
    worker.clock.move(FOUND_SECONDS)
    assert worker.batches_asked_for == soon
    worker.clock.move(2 * POLL_SECONDS)
    assert worker.batches_asked_for == soon, "and not more often before an answer"
