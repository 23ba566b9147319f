"""Where workers lease from the same slots, none holds what it cannot send and another one could."""

from __future__ import annotations

import pytest

from scrapy_resume.frontier.lease_quota import PACE_SECONDS, YIELD_SECONDS, LeaseQuota
from scrapy_resume.frontier.row import Row, rank_of
from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer
from scrapy_resume.model import START
from scrapy_resume.store.contract import Admission, Wish
from tests.support.clock import ManualClock, StubEngine, StubRoom

SLOT = "shop.test"
CONCURRENCY = 2


def row(row_id: int, slot: str = SLOT, *, priority: int = 0) -> Row:
    made = Row(row_id, row_id.to_bytes(20, "big"), recorded=True)
    made.slot = slot
    made.url = f"http://{slot}/{row_id}"
    made.rank = rank_of(priority, 0, -row_id, every_run=False)
    return made


def arrival(row_id: int, slot: str = SLOT, *, priority: int = 0) -> Admission:
    return Admission(
        id=row_id,
        identity=row_id.to_bytes(20, "big"),
        parent=START,
        url=f"http://{slot}/{row_id}",
        payload="{}",
        slot=slot,
        priority=priority,
        start=0,
        seq=-row_id,
        unit=row_id,
    )


class Bench:
    """A buffer among ``others``, on a downloader whose room the test sets."""

    def __init__(self, *, others: int = 2, by_slot: bool = True) -> None:
        self.clock, self.engine = ManualClock(), StubEngine()
        self.room = self.engine.sendable = StubRoom(total=CONCURRENCY)
        self.quota = LeaseQuota(CONCURRENCY, self.engine, self.clock)
        self.quota.set_others(others, one_starves=False)
        self.buffer = SharedLeaseBuffer(
            self.quota, concurrency=CONCURRENCY, by_slot=by_slot, pending={}
        )

    def hold(self, *rows: Row) -> None:
        for one in rows:
            self.buffer.push(one)

    def leased_of(self, *arrivals: Admission) -> list[int]:
        """The ids of those of a batch that stay leased."""
        self.arrive(*arrivals)
        return sorted(one.id for one in arrivals if one.lease)

    def arrive(self, *arrivals: Admission) -> list[int]:
        """The ids of the rows that are released with the batch."""
        for one in arrivals:
            self.buffer.expect(one.slot)
        self.buffer.look_for_room()
        return sorted(one.id for one in self.buffer.lease_arrivals(arrivals))

    def send(self, count: int, seconds: float) -> None:
        """Send so many rows, at an even pace."""
        for number in range(count):
            self.hold(row(10_000 + number))
            self.buffer.look_for_room()
            assert self.buffer.next_row(lambda _: 0) is not None
            self.clock.now += seconds / count
        self.buffer.look_for_room()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_worker_alone_leases_ahead_as_ever() -> None:
    alone = Bench(others=0)
    assert len(alone.leased_of(*map(arrival, range(1, 13)))) == 12


def test_of_many_arrivals_only_what_can_be_sent_stays_leased(bench: Bench) -> None:
    assert bench.leased_of(*map(arrival, range(1, 13))) == [11, 12]


def test_nothing_stays_leased_while_the_downloader_is_full(bench: Bench) -> None:
    bench.room.total = 0
    assert bench.leased_of(arrival(1), arrival(2)) == []


def test_a_slot_that_is_full_leases_nothing_more_while_another_does(bench: Bench) -> None:
    bench.room.by_slot[SLOT] = 0
    assert bench.leased_of(arrival(1), arrival(2, "free.test")) == [2]


def test_all_slots_together_lease_what_the_downloader_takes(bench: Bench) -> None:
    arrivals = [arrival(number, f"shop-{number}.test") for number in range(1, 13)]
    assert len(bench.leased_of(*arrivals)) == CONCURRENCY


def test_a_worker_that_sends_fast_leases_ahead_by_its_pace(bench: Bench) -> None:
    bench.send(51, PACE_SECONDS)
    bench.room.total = 0
    assert len(bench.leased_of(*map(arrival, range(1, 31)))) == 9, (
        "what it sends in 0.2 s, but for one"
    )


def test_a_worker_that_sends_slowly_leases_nothing_ahead(bench: Bench) -> None:
    bench.send(9, PACE_SECONDS)
    bench.room.total = 0
    assert not bench.leased_of(*map(arrival, range(1, 31)))


def test_unsendable_rows_go_back_when_another_worker_starves(bench: Bench) -> None:
    bench.hold(*map(row, range(1, 13)))
    assert bench.arrive() == []
    bench.quota.set_others(2, one_starves=True)
    assert bench.arrive() == list(range(1, 11)), "all but the two that come first"
    assert bench.buffer.leased == 2
    assert bench.buffer.pending_rows == 10, "it knows that the store has them"
    assert bench.arrive() == []


def test_nothing_goes_back_when_the_worker_that_starves_was_the_only_other_one() -> None:
    alone = Bench(others=0)
    alone.hold(*map(row, range(1, 13)))
    alone.quota.set_others(0, one_starves=True)
    assert alone.arrive() == []


def test_rows_that_have_to_run_in_this_process_stay(bench: Bench) -> None:
    rows = [row(number) for number in range(1, 5)]
    rows[0].recorded = False
    rows[1].every_run = True
    rows[2].open_below = 1
    bench.hold(*rows)
    bench.room.total = 0
    bench.quota.set_others(2, one_starves=True)
    assert bench.arrive() == [4]


def test_for_some_seconds_after_that_nothing_is_leased_ahead(bench: Bench) -> None:
    """Otherwise the same rows would go back and forth."""
    bench.send(50, PACE_SECONDS)
    bench.room.total = 0
    bench.quota.set_others(2, one_starves=True)
    assert not bench.leased_of(*map(arrival, range(1, 31)))
    bench.quota.set_others(2, one_starves=False)
    bench.clock.now += YIELD_SECONDS - 0.01
    assert not bench.leased_of(*map(arrival, range(31, 61)))


def test_rows_of_full_slots_go_back_where_one_queue_has_all() -> None:
    bench = Bench(by_slot=False)
    bench.hold(row(1, "full.test"), row(2, "full.test"), row(3, "free.test"))
    bench.room.by_slot["full.test"] = 0
    bench.quota.set_others(2, one_starves=True)
    assert bench.arrive() == [1, 2]


def test_a_request_of_a_full_slot_is_not_handed_out(bench: Bench) -> None:
    bench.hold(row(1), row(2, "free.test"))
    bench.room.by_slot[SLOT] = 0
    taken = bench.buffer.next_row(lambda _: 0)
    assert taken is not None
    assert taken.slot == "free.test"
    assert bench.buffer.next_row(lambda _: 0) is None
    assert bench.buffer.delay_seconds == 0.0
    bench.room.by_slot[SLOT] = 1
    assert bench.buffer.next_row(lambda _: 0) is not None


def test_one_queue_of_all_passes_over_the_rows_of_full_slots() -> None:
    bench = Bench(by_slot=False)
    bench.hold(row(1, "free.test"), row(2, "full.test"))
    bench.room.by_slot["full.test"] = 0
    taken = bench.buffer.next_row(lambda _: 0)
    assert taken is not None
    assert taken.url == "http://free.test/1"


def test_the_delay_of_a_slot_that_has_one_waiting_is_known(bench: Bench) -> None:
    bench.hold(row(1))
    bench.room.by_slot[SLOT] = 0
    bench.room.delays[SLOT] = 0.5
    assert bench.buffer.next_row(lambda _: 0) is None
    assert bench.buffer.delay_seconds == 0.5


def test_a_worker_alone_hands_out_to_full_slots_too() -> None:
    """As plain Scrapy does: the downloader has a queue of its own."""
    alone = Bench(others=0)
    alone.hold(row(1))
    alone.room.by_slot[SLOT] = 0
    assert alone.buffer.next_row(lambda _: 0) is not None


def test_arrivals_of_a_higher_priority_take_the_place_of_leased_rows(bench: Bench) -> None:
    bench.hold(row(1), row(2))
    better = [arrival(number, priority=5) for number in range(3, 7)]
    assert bench.arrive(*better) == [1, 2]
    assert [one.id for one in better if one.lease] == [5, 6]
    bench.buffer.begin_answer()
    bench.buffer.look_for_room()
    assert bench.buffer.wishes() == [Wish(SLOT, CONCURRENCY)]


def test_arrivals_of_the_same_priority_send_no_row_back(bench: Bench) -> None:
    """In a tree each page yields more than can be sent."""
    for number in range(10, 100, 10):
        bench.hold(row(number))
        assert bench.arrive(arrival(number + 1), arrival(number + 2), arrival(number + 3)) == []
        bench.buffer.begin_answer()
        assert bench.buffer.next_row(lambda _: 0) is not None


def test_the_store_is_asked_for_what_can_be_sent_and_once(bench: Bench) -> None:
    bench.buffer.set_pending(SLOT, 50)
    bench.buffer.look_for_room()
    assert bench.buffer.needs_refill
    assert bench.arrive() == []
    assert bench.buffer.wishes() == [Wish(SLOT, CONCURRENCY)]
    bench.buffer.look_for_room()
    assert not bench.buffer.needs_refill, "the answer is on its way"
    bench.buffer.begin_answer()
    bench.hold(row(1), row(2))
    bench.buffer.look_for_room()
    assert not bench.buffer.needs_refill


def test_nothing_is_asked_for_while_the_downloader_is_full(bench: Bench) -> None:
    bench.room.total = 0
    bench.buffer.look_for_room()
    bench.buffer.set_pending(SLOT, 50)
    bench.buffer.refill_empty_queues()
    assert not bench.buffer.needs_refill
    bench.room.total = 1
    bench.buffer.look_for_room()
    assert bench.buffer.needs_refill


def test_slots_take_turns_when_only_a_few_can_be_leased_from(bench: Bench) -> None:
    slots = [f"shop-{number}.test" for number in range(4)]
    for slot in slots:
        bench.buffer.set_pending(slot, 5)
    asked = []
    for number in range(2):
        bench.buffer.look_for_room()
        bench.buffer.lease_arrivals([])
        wishes = bench.buffer.wishes()
        asked += [wish.slot for wish in wishes]
        bench.buffer.begin_answer()
        for wish in wishes:
            bench.hold(row(10 * number + int(wish.slot[5]), wish.slot))
        while bench.buffer.next_row(lambda _: 0) is not None:
            pass
    assert len(asked) == len(set(asked)), asked
