"""Leased rows come in the order of Scrapy's queues, and no slot starves another."""

from __future__ import annotations

from random import Random

from scrapy_resume.frontier.lease_buffer import REFILLS_PER_BATCH, LeaseBuffer
from scrapy_resume.frontier.robots import RobotsGate
from scrapy_resume.frontier.row import Rank, Row, rank_of
from scrapy_resume.model import START
from scrapy_resume.store.contract import Admission, Wish


def row(row_id: int, slot: str = "a", *, priority: int = 0, every_run: bool = False) -> Row:
    made = Row(row_id, row_id.to_bytes(20, "big"), recorded=True)
    made.slot = slot
    made.url = f"http://{slot}.test/{row_id}"
    made.rank = rank_of(priority, 0, -row_id, every_run=every_run)
    made.every_run = every_run
    return made


def frontier(
    pending: dict[str, int] | None = None, *, concurrency: int = 4, by_slot: bool = True
) -> LeaseBuffer:
    return LeaseBuffer(concurrency=concurrency, by_slot=by_slot, pending=pending or {})


def drained(of: LeaseBuffer, active: dict[str, int] | None = None) -> list[int]:
    found = []
    while (taken := of.next_row(lambda slot: (active or {}).get(slot, 0))) is not None:
        found.append(taken.id)
    return found


def test_priority_comes_first_then_the_last_that_arrived() -> None:
    buffer = frontier()
    for made in (row(1), row(2, priority=5), row(3), row(4, priority=5)):
        buffer.push(made)
    assert drained(buffer) == [4, 2, 3, 1]


def test_the_least_active_slot_comes_first_and_equal_ones_take_turns() -> None:
    buffer = frontier()
    for made in (row(1, "a"), row(2, "a"), row(3, "b"), row(4, "b"), row(5, "busy")):
        buffer.push(made)
    assert drained(buffer, {"busy": 3}) == [2, 4, 1, 3, 5]


def test_what_comes_first_in_every_run_keeps_all_others_waiting_until_it_has_ended() -> None:
    buffer = frontier()
    login = row(2, "b", every_run=True)
    buffer.push(row(1, "a"))
    buffer.push(row(3, "b"))
    buffer.push(login)
    assert drained(buffer) == [2]
    buffer.every_run.ended(login.id)
    assert sorted(drained(buffer)) == [1, 3]


def test_a_resumed_run_waits_for_what_comes_first() -> None:
    buffer = frontier()
    buffer.every_run.awaited = True
    buffer.push(row(1))
    assert drained(buffer) == []
    buffer.every_run.awaited = False
    assert drained(buffer) == [1]


def chosen(of: LeaseBuffer, *ranks: Rank, arrived_before: int | None = None) -> list[Rank]:
    """Those of the arrivals of one batch that stay leased."""
    arrivals = []
    for number, (negated, start, seq) in enumerate(ranks):
        of.expect("a")
        identity = number.to_bytes(20, "big")
        arrivals.append(
            Admission(
                id=number,
                identity=identity,
                parent=START,
                url="",
                payload="",
                slot="a",
                priority=-negated,
                start=start,
                seq=seq,
                unit=number,
            )
        )
    of.lease_arrivals(arrivals, arrived_before)
    return [rank for rank, arrival in zip(ranks, arrivals, strict=True) if arrival.lease]


def test_a_new_row_is_kept_only_if_nothing_in_the_store_comes_before_it() -> None:
    assert chosen(frontier(), (0, 0, -1)) == [(0, 0, -1)]
    waiting = frontier({"a": 10})
    assert not chosen(waiting, (0, 0, -11)), "the store's may rank higher"
    waiting.push(row(5))
    overtaking, last = (-1, 0, -12), (1, 0, -13)
    assert chosen(waiting, last, overtaking) == [overtaking], "it overtakes what is leased"


def test_of_many_that_arrive_together_the_best_are_kept() -> None:
    last_in_first_out = [(0, 0, -number) for number in range(1, 41)]
    assert chosen(frontier(), *last_in_first_out) == last_in_first_out[-16:]
    first_in_first_out = [(0, 0, number) for number in range(1, 41)]
    assert chosen(frontier(), *first_in_first_out) == first_in_first_out[:16]


def test_the_row_that_is_dispatched_next_stays_leased_however_many_arrive_after_it() -> None:
    arrived = [(0, 0, -number) for number in range(1, 41)]
    assert chosen(frontier(), *arrived, arrived_before=11) == [arrived[9], *arrived[-16:]]
    assert chosen(frontier(), *arrived, arrived_before=31) == arrived[-16:]


def test_released_rows_come_before_later_arrivals_that_rank_lower() -> None:
    buffer = frontier()
    for number in range(1, 34):
        buffer.push(row(number))
    assert len(list(buffer.overflow("a"))) == 17
    assert len(drained(buffer)) == 16
    assert not chosen(buffer, (0, 0, -1)), "those on their way back may rank higher"


def test_a_queue_is_dry_while_only_the_store_has_more_for_it() -> None:
    buffer = frontier({"a": 2, "b": 0})
    assert buffer.has_dry_queue
    buffer.push(row(1, "a"))
    assert not buffer.has_dry_queue


def test_a_queue_that_runs_low_asks_for_its_share() -> None:
    buffer = frontier({"a": 100})
    assert buffer.needs_refill
    assert buffer.wishes() == [Wish("a", 16)]
    assert not buffer.needs_refill, "it asks once"


def test_many_slots_share_the_buffer() -> None:
    buffer = frontier({f"s{number}": 9 for number in range(8)})
    wishes = sorted(buffer.wishes(), key=lambda wish: wish.slot)
    assert wishes == [Wish(f"s{number}", 2) for number in range(8)]


def test_very_many_slots_ask_one_part_after_another() -> None:
    buffer = frontier({f"s{number}": 9 for number in range(REFILLS_PER_BATCH + 100)})
    first, second = buffer.wishes(), buffer.wishes()
    assert (len(first), len(second)) == (REFILLS_PER_BATCH, 100)
    assert len({wish.slot for wish in first + second}) == REFILLS_PER_BATCH + 100
    assert not buffer.needs_refill


def test_a_queue_beyond_twice_its_share_releases_its_last_rows() -> None:
    buffer = frontier()
    for number in range(1, 34):
        buffer.push(row(number))
    given_back = [given.id for given in buffer.overflow("a")]
    assert given_back == list(range(1, 18))
    assert drained(buffer) == list(range(33, 17, -1))


def test_rows_that_run_from_memory_are_never_released() -> None:
    buffer = frontier()
    for number in range(1, 34):
        made = row(number)
        made.recorded = number > 3
        buffer.push(made)
    assert {given.id for given in buffer.overflow("a")}.isdisjoint({1, 2, 3})
    assert drained(buffer)[-3:] == [3, 2, 1]


def test_one_request_for_a_host_goes_before_its_robots_txt_is_there() -> None:
    buffer = frontier()
    buffer.robots = RobotsGate()
    first, second, other = row(2, "a"), row(1, "a"), row(3, "b")
    for made in (first, second, other):
        buffer.push(made)
    assert drained(buffer) == [2, 3]
    assert buffer.robots.passed(first)
    assert drained(buffer) == [1]


def test_empty_queues_are_removed() -> None:
    buffer = frontier()
    for number in range(100):
        slot = f"s{number}"
        buffer.expect(slot)
        buffer.settle(slot)
        buffer.push(row(number, slot))
    assert len(drained(buffer)) == 100
    assert not buffer.queues
    assert buffer.leased == 0


def test_a_row_that_fails_unsent_leaves_its_hosts_robots_txt_to_another() -> None:
    buffer = frontier()
    buffer.robots = RobotsGate()
    buffer.push(row(1))
    buffer.push(row(2))
    first = buffer.next_row(lambda _: 0)
    assert first is not None
    buffer.robots.not_sent(first)
    assert drained(buffer) == [1]


def test_a_host_whose_robots_txt_loads_does_not_hold_others_up_in_the_one_queue_of_all() -> None:
    buffer = frontier(by_slot=False)
    buffer.robots = RobotsGate()
    for number, host in ((1, "other"), (2, "slow"), (3, "slow")):
        made = row(number, host)
        made.slot = ""
        buffer.push(made)
    assert drained(buffer) == [3, 1]


def test_of_many_slots_that_rest_few_are_looked_at_closely() -> None:
    """With 100,000 hosts, to look at each took a quarter of a second for each page."""
    names = [f"h{number}" for number in range(2_000)]
    Random(17).shuffle(names)
    buffer = frontier()
    for number, slot in enumerate(names, 1):
        buffer.push(row(number, slot))
    looked_at: list[str] = []

    def active(slot: str) -> int:
        looked_at.append(slot)
        return 0

    taken = []
    for _ in range(20):
        found = buffer.next_row(active)
        assert found is not None
        taken.append(found.slot)
    assert taken == sorted(names)[:20]  # they take turns as ever
    assert len(looked_at) < 20 * 100


def test_a_slot_in_use_does_not_hide_one_that_rests() -> None:
    buffer = frontier()
    for number, slot in enumerate(("a", "b", "c"), 1):
        buffer.push(row(number, slot))
    assert drained(buffer, {"a": 1, "b": 2}) == [3, 1, 2]
