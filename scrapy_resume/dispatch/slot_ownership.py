"""The slots of one of many workers: which are its own, how many more it has use for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.frontier.slot_queue import SlotQueue

SLOTS_A_BATCH: Final = 8
"""Slots that a worker takes at a time: it takes as many as keep it busy, and no more."""


class SlotOwnership:
    """Takes slots into the frontier, and out of it."""

    def __init__(self, frontier: LeaseBuffer) -> None:
        self._frontier = frontier

    def own(self, slots: Iterable[str]) -> None:
        """These slots are this run's from now on."""
        if self._frontier.owned is not None:
            for slot in slots:
                self._frontier.owned.add(slot)
                self._frontier.queue(slot)

    @property
    def share(self) -> int:
        """How many rows to lease from a slot that is new."""
        return max(1, self._frontier.size // (len(self._frontier.queues) + 1))

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
        for queue in self._frontier.queues.values():
            if not queue.leaving and (
                queue.slot in busy
                or ((queue.rows or queue.pending) and queue.slot not in self._frontier.blocked)
            ):
                yield queue.slot

    def look_everywhere(self) -> None:
        """Others may have added rows to this run's slots: ask for all that have none here."""
        if self._frontier.owned is not None:
            self._frontier.hungry_slots.update(
                slot
                for slot in self._frontier.owned
                if (queue := self._frontier.queue(slot)) and not queue.rows
            )

    def hand_over(self, count: int, busy: Mapping[str, int]) -> None:
        """So many slots with work are to go to others, the quiet ones first: no more is handed
        out from them."""
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
        """Take out what is leased from slots that another worker is to have."""
        rows: list[Row] = []
        for queue in self._frontier.queues.values():
            if queue.leaving and queue.rows:
                rows += self._frontier.take_all(queue)
        return rows

    def take_spare_slots(
        self, busy: Mapping[str, int], now: float, kept_seconds: float
    ) -> list[str]:
        """Take out the slots that this run gives back now: those that are to go to others, and
        those in which nothing has been left for ``kept_seconds`` (``now`` is monotonic). Not those
        that are busy: with a request in the engine, or with one that stays leased."""
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
