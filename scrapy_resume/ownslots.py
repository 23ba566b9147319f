"""The slots of one of many workers: which are its own, how many more it has use for."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from scrapy_resume.frontier import Frontier
    from scrapy_resume.lane import Lane
    from scrapy_resume.rows import Row

SLOTS_A_BATCH: Final = 8
"""Slots that a worker takes at a time: it takes as many as keep it busy, and no more."""


class OwnSlots:
    """Takes slots into the frontier, and out of it."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier

    def own(self, slots: Iterable[str]) -> None:
        """These slots are this run's from now on."""
        if self._frontier.owned is not None:
            for slot in slots:
                self._frontier.owned.add(slot)
                self._frontier.lane(slot)

    @property
    def share(self) -> int:
        """How many rows to lease from a slot that is new."""
        return max(1, self._frontier.size // (len(self._frontier.lanes) + 1))

    def slots_wanted(self, busy: Collection[str], is_resting: Callable[[str], bool]) -> int:
        """How many more slots the worker has use for: so many that as many as it may have
        requests do not just rest, for their delay, between two of them."""
        if self._frontier.awaits_every_run:
            return 0
        active = sum(not is_resting(slot) for slot in self._slots_with_work(busy))
        return max(0, min(SLOTS_A_BATCH, self._frontier.concurrency - active))

    def slots_at_work(self, busy: Collection[str]) -> int:
        """Slots that have something to do here."""
        return sum(1 for _ in self._slots_with_work(busy))

    def _slots_with_work(self, busy: Collection[str]) -> Iterator[str]:
        for lane in self._frontier.lanes.values():
            if not lane.leaving and (
                lane.slot in busy
                or ((lane.rows or lane.pending) and lane.slot not in self._frontier.blocked)
            ):
                yield lane.slot

    def look_everywhere(self) -> None:
        """Others may have added rows to this run's slots: ask for all that have none here."""
        if self._frontier.owned is not None:
            self._frontier.hungry_slots.update(
                slot
                for slot in self._frontier.owned
                if (lane := self._frontier.lane(slot)) and not lane.rows
            )

    def hand_over(self, count: int, busy: Mapping[str, int]) -> None:
        """So many slots with work are to go to others, the quiet ones first: no more is handed
        out from them."""
        lanes = [self._frontier.lane(slot) for slot in self._frontier.owned or ()]
        movable = [
            lane
            for lane in lanes
            if not lane.leaving
            and lane.slot not in self._frontier.blocked
            and (lane.rows or lane.pending)
            and lane.can_be_moved
        ]
        for lane in sorted(movable, key=lambda lane: busy.get(lane.slot, 0))[:count]:
            lane.leaving = True

    def take_leaving_rows(self) -> list[Row]:
        """Take out what is leased from slots that another worker is to have."""
        rows: list[Row] = []
        for lane in self._frontier.lanes.values():
            if lane.leaving and lane.rows:
                rows += self._frontier.take_all(lane)
        return rows

    def take_spare_slots(self, busy: Mapping[str, int], quiet_before: float) -> list[str]:
        """Take out the slots that this run gives back now: those that are to go to others, and
        those in which nothing was left before that moment. Not those that are busy: with a
        request in the engine, or with one that stays leased."""
        spare = [
            slot
            for slot in self._frontier.owned or ()
            if self._is_spare(self._frontier.lane(slot), busy, quiet_before)
        ]
        for slot in spare:
            assert self._frontier.owned is not None
            self._frontier.owned.discard(slot)
            self._frontier.lane(slot).leaving = False
            self._frontier.set_pending(slot, 0)
        return spare

    def _is_spare(self, lane: Lane, busy: Mapping[str, int], quiet_before: float) -> bool:
        if busy.get(lane.slot) or lane.rows:
            lane.quiet_since = None
            return False
        if lane.leaving:
            return True
        if lane.pending or lane.arriving:
            lane.quiet_since = None
            return False
        if lane.quiet_since is None:
            lane.quiet_since = monotonic()
        return lane.quiet_since < quiet_before
