"""How many slots a worker asks for at a time."""

from __future__ import annotations

import pytest

from scrapy_resume.dispatch.slot_ownership import SLOTS_PER_BATCH, SlotOwnership
from scrapy_resume.frontier.lease_buffer import LeaseBuffer


@pytest.mark.parametrize(
    ("owned", "resting", "wanted"),
    [(0, True, SLOTS_PER_BATCH), (8, True, 8), (20, True, 20), (100, True, 100), (20, False, 20)],
)
def test_a_worker_asks_for_as_many_slots_again_as_it_has(
    owned: int, resting: bool, wanted: int
) -> None:
    frontier = LeaseBuffer(concurrency=64, by_slot=True, pending={}, owns_slots=True)
    slots = SlotOwnership(frontier)
    slots.own(f"slot-{number}" for number in range(owned))
    for slot in frontier.owned or ():
        frontier.set_pending(slot, 3)
    assert slots.slots_wanted((), lambda slot: resting) == wanted


@pytest.mark.parametrize(("active", "wanted"), [(1, 80), (4, 80), (8, 80), (12, 24), (15, 5)])
def test_a_worker_asks_for_so_many_that_enough_of_them_are_active(active: int, wanted: int) -> None:
    frontier = LeaseBuffer(concurrency=16, by_slot=True, pending={}, owns_slots=True)
    slots = SlotOwnership(frontier)
    names = [f"slot-{number}" for number in range(80)]
    slots.own(names)
    for slot in names:
        frontier.set_pending(slot, 3)
    assert slots.slots_wanted((), lambda slot: slot not in names[:active]) == wanted


def test_a_worker_that_is_busy_asks_for_none() -> None:
    frontier = LeaseBuffer(concurrency=4, by_slot=True, pending={}, owns_slots=True)
    slots = SlotOwnership(frontier)
    slots.own("abcd")
    assert slots.slots_wanted("abcd", lambda slot: False) == 0
