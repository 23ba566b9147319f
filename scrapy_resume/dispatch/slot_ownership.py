"""Slots of one worker among several: which it owns, needs, and gives away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.frontier.slot_queue import SlotQueue

SLOTS_PER_BATCH: Final = 8
"""Slots that a worker claims with its first batch at most, and a worker that shares all slots with
each. It claims only as many as keep it busy."""


class SlotOwnership:
    """Adds owned slots to the lease buffer, and removes those that are given away."""

    def __init__(self, frontier: LeaseBuffer) -> None:
        self._frontier = frontier

    def own(self, slots: Iterable[str]) -> None:
        """Take over slots that the store has assigned to this run."""
        if self._frontier.owned is not None:
            for slot in slots:
                self._frontier.owned.add(slot)
                self._frontier.queue(slot)

    @property
    def share(self) -> int:
        """Number of rows to lease from each new slot."""
        return max(1, self._frontier.size // (len(self._frontier.queues) + 1))

    def slots_wanted(self, busy: Collection[str], is_resting: Callable[[str], bool]) -> int:
        """How many more slots the worker can use, so that it has as many active slots as concurrent
        requests. Slots that wait for their download delay are not active: if a tenth of its slots
        are active, it can use ten for each that is to be active. It is never more than as many
        again as it has, but for the first ones.

        ``busy``: slots that have requests in the engine.
        """
        if self._frontier.every_run.awaited:
            return 0
        active = sum(not is_resting(slot) for slot in self._slots_with_work(busy))
        lacking = self._frontier.concurrency - active
        if lacking <= 0:
            return 0
        owned = len(self._frontier.owned or ())
        slots_for_one = max(1, owned // max(active, 1))
        return min(max(owned, min(SLOTS_PER_BATCH, lacking)), lacking * slots_for_one)

    def slots_at_work(self, busy: Collection[str]) -> int:
        """Number of slots that have requests here, leased or in the store."""
        return sum(1 for _ in self._slots_with_work(busy))

    def _slots_with_work(self, busy: Collection[str]) -> Iterator[str]:
        for queue in self._frontier.queues.values():
            if not queue.leaving and (
                queue.slot in busy
                or ((queue.rows or queue.pending) and queue.slot not in self._frontier.blocked)
            ):
                yield queue.slot

    def refill_empty_slots(self) -> None:
        """Lease rows for all owned slots that have none here: other workers may have added some."""
        if self._frontier.owned is not None:
            self._frontier.slots_to_refill.update(
                slot
                for slot in self._frontier.owned
                if (queue := self._frontier.queue(slot)) and not queue.rows
            )

    def hand_over(self, count: int, busy: Mapping[str, int]) -> None:
        """Stop dispatching from ``count`` slots with requests, so that other workers can have them.

        ``busy``: slot → its requests in the engine. Slots with the fewest are chosen first.
        """
        queues = [self._frontier.queue(slot) for slot in self._frontier.owned or ()]
        movable = [
            queue
            for queue in queues
            if not queue.leaving
            and queue.slot not in self._frontier.blocked
            and (queue.rows or queue.pending)
            and queue.can_be_moved
        ]
        for queue in sorted(movable, key=lambda queue: busy.get(queue.slot, 0))[:count]:
            queue.leaving = True

    def take_leaving_rows(self) -> list[Row]:
        """Take out the leased rows of slots that other workers are to have."""
        rows: list[Row] = []
        for queue in self._frontier.queues.values():
            if queue.leaving and queue.rows:
                rows += self._frontier.take_all(queue)
        return rows

    def take_spare_slots(
        self, busy: Mapping[str, int], now: float, kept_seconds: float
    ) -> list[str]:
        """Remove and return the slots that this run gives back now: those that other workers are to
        have, and those that have been empty for ``kept_seconds``. Slots that are busy, or have
        leased rows, stay. ``now``: on the monotonic clock."""
        spare = [
            slot
            for slot in self._frontier.owned or ()
            if self._is_spare(self._frontier.queue(slot), busy, now, kept_seconds)
        ]
        for slot in spare:
            assert self._frontier.owned is not None
            self._frontier.owned.discard(slot)
            self._frontier.queue(slot).leaving = False
            self._frontier.set_pending(slot, 0)
        return spare

    def _is_spare(
        self, queue: SlotQueue, busy: Mapping[str, int], now: float, kept_seconds: float
    ) -> bool:
        if busy.get(queue.slot) or queue.rows:
            queue.quiet_since = None
            return False
        if queue.leaving:
            return True
        if queue.pending or queue.arriving:
            queue.quiet_since = None
            return False
        if queue.quiet_since is None:
            queue.quiet_since = now
        return now - queue.quiet_since > kept_seconds
