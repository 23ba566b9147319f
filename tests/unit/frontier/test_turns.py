"""Slots take turns as a walk over all of them would have it, at a cost that does not grow."""

from __future__ import annotations

from random import Random

import pytest

from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.turns import Turns
from tests.unit.frontier.test_lease_buffer import frontier, row


def test_once_around_a_slot_comes_last_itself() -> None:
    turns = Turns()
    for slot in ("c", "a", "b", "a"):
        turns.add(slot)
    assert list(turns.after("a")) == ["b", "c", "a"]
    assert list(turns.after("")) == ["a", "b", "c"]
    assert list(turns.after("bb")) == ["c", "a", "b"]
    turns.remove("b")
    assert list(turns.after("b")) == ["c", "a"]


def next_slot(buffer: LeaseBuffer, active: dict[str, int], last: str) -> str | None:
    """Whose turn it is, by looking at every slot."""
    ready = [
        (active.get(slot, 0), slot <= last, slot)
        for slot, queue in buffer.queues.items()
        if queue.rows and not queue.leaving and slot not in buffer.blocked
    ]
    return min(ready)[2] if ready else None


@pytest.mark.parametrize("owns", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_the_turn_is_that_of_a_walk_over_all_slots(seed: int, owns: bool) -> None:
    chance = Random(seed)
    buffer = LeaseBuffer(concurrency=4, by_slot=True, pending={}, owns_slots=owns)
    slots = [f"slot-{number}" for number in range(12)]
    if owns:
        assert buffer.owned is not None
        buffer.owned.update(slots)
    active: dict[str, int] = {}
    last = ""
    for number in range(1_000):
        what = chance.random()
        slot = chance.choice(slots)
        if what < 0.45:
            buffer.push(row(number, slot, priority=chance.randrange(2)))
        elif what < 0.5:
            active[slot] = chance.randrange(3)
        elif what < 0.53:
            buffer.block(slot)
        elif what < 0.56:
            buffer.unblock(slot)
        elif what < 0.58 and slot in buffer.queues:
            buffer.queues[slot].leaving = chance.random() < 0.5
        elif what < 0.6 and slot in buffer.queues:
            buffer.take_all(buffer.queues[slot])
        else:
            wanted = next_slot(buffer, active, last)
            taken = buffer.next_row(lambda one: active.get(one, 0))
            assert (None if taken is None else taken.slot) == wanted
            last = last if taken is None else taken.slot


def looked_at(count: int) -> int:
    """How many slots are looked at to hand out a row, where ``count`` have some each."""
    buffer = frontier()
    for number in range(count):
        buffer.push(row(number, f"slot-{number}"))
    seen = []
    assert buffer.next_row(lambda slot: seen.append(slot) or 0) is not None  # type: ignore[func-returns-value]
    return len(seen)


def test_a_hand_out_looks_at_as_many_of_ten_thousand_slots_as_of_ten() -> None:
    assert looked_at(10) == looked_at(10_000) == 1
