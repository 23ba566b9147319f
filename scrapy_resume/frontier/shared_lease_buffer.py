"""The lease buffer of a worker that leases from the same slots as others.

While no other worker is there it is a plain lease buffer. Otherwise it holds what ``LeaseQuota``
allows: a row that one worker holds without sending it is missing to the others.

Arrivals overtake leased rows of a lower priority, which go back if there is no room for both. Among
equal priorities the few rows that are leased stay, so that no row is leased again and again while
each page yields more than can be sent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.slot_queue import arrival_rank, may_leave

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from scrapy_resume.frontier.lease_quota import LeaseQuota
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.frontier.slot_queue import SlotQueue
    from scrapy_resume.store.contract import Admission, Continuation

NO_SLOT: Final = ""
"""The key of a download slot that no request with a host has."""


class SharedLeaseBuffer(LeaseBuffer):
    """Leased rows of slots from which other workers lease too.

    The invariant of ``LeaseBuffer`` holds for what this run has admitted or knows of: other workers
    add rows at any time.
    """

    def __init__(self, quota: LeaseQuota, **options: Any) -> None:
        """``options``: those of ``LeaseBuffer``."""
        self.quota = quota
        self._coming: Counter[str] = Counter()
        """Slot → rows that the last batch leases: arrivals, and what it wishes. Empty once the
        batch is answered."""
        super().__init__(**options)

    # ---- how many rows

    @property
    def coming(self) -> int:
        """Number of rows that the last batch leases, if the store has them."""
        return self._coming.total()

    @property
    def new_slot_share(self) -> int:
        """Number of rows to lease from a slot that has no queue here."""
        return max(1, self.quota.depth(NO_SLOT) if self.by_slot else self.quota.depth_of_all())

    def _depth(self, slot: str) -> int:
        if not self.quota.limited:
            return super()._depth(slot)
        return self.quota.depth(slot) if self.by_slot else self.quota.depth_of_all()

    def _left(self) -> int:
        """How many more rows may be leased, of all slots together."""
        return self.quota.total - self.leased - self.coming

    def _runs_low(self, queue: SlotQueue) -> bool:
        if self.quota.limited and (not self._depth(queue.slot) or self._left() <= 0):
            return False
        return super()._runs_low(queue)

    def look_for_room(self) -> None:
        """See ``LeaseBuffer``."""
        self.quota.refresh()
        if self.quota.limited and self._left() > 0:
            self.slots_to_refill.update(
                slot for slot, queue in self.queues.items() if self._runs_low(queue)
            )

    # ---- a batch, and its answer

    def lease_arrivals(
        self, arrivals: Iterable[Admission | Continuation], arrived_before: int | None = None
    ) -> list[Row]:
        """See ``LeaseBuffer``. The rows that it returns cannot be sent at once while another worker
        looks for requests in vain, or have a lower priority than arrivals that stay in the
        store."""
        arrivals = list(arrivals)
        released = self._take_unsendable() if self.quota.yields else []
        self._coming = Counter(arrival.slot for arrival in arrivals if arrival.lease)
        released += super().lease_arrivals(arrivals, arrived_before)
        self._coming = Counter(arrival.slot for arrival in arrivals if arrival.lease)
        return released

    def _lease_first(
        self, queue: SlotQueue, newcomers: Sequence[Admission | Continuation], leased: int
    ) -> list[Row]:
        if not self.quota.limited:
            return super()._lease_first(queue, newcomers, leased)
        depth = min(self._depth(queue.slot), self._left() + len(queue.rows) + leased)
        room = 0 if queue.pending else depth - len(queue.rows) - leased
        for count, arrival in enumerate(newcomers):
            before = queue.count_of_priority(arrival_rank(arrival))
            overtakes = before < len(queue.rows) and before + leased + count < depth
            if not overtakes and count >= room:
                return self._take_out(queue, [row for _, row in queue.rows[before:]])
            arrival.lease = True
            self._coming[queue.slot] += 1
        return []

    def _take_out(self, queue: SlotQueue, rows: Collection[Row]) -> list[Row]:
        """Take rows out of a queue, to be released, but not those that have to run here."""
        taken = [row for row in rows if may_leave(row)]
        if taken:
            queue.rows[:] = [entry for entry in queue.rows if entry[1] not in taken]
            self._went_back(queue, len(taken))
        return taken

    def _take_unsendable(self) -> list[Row]:
        """Take out the rows that the downloader would not send at once."""
        room, kept = self.quota.room, Counter[str]()
        taken = []
        for queue in self.queues.values():
            unsendable = []
            for _, row in queue.rows:
                host = self.host_of(row)
                if kept[host] < room.of(host) and kept.total() < room.total:
                    kept[host] += 1
                else:
                    unsendable.append(row)
            taken += self._take_out(queue, unsendable)
        return taken

    def _count_to_lease(self, queue: SlotQueue) -> int:
        count = super()._count_to_lease(queue)
        if not self.quota.limited:
            return count
        count = max(0, min(count - self._coming[queue.slot], self._left()))
        self._coming[queue.slot] += count
        return count

    def _in_turn(self, slots: Iterable[str]) -> list[str]:
        """In another order each time, since the first ones may take all that is to be leased."""
        if not self.quota.limited:
            return super()._in_turn(slots)
        return sorted(slots, key=lambda slot: (slot <= self._last_slot, slot))

    def begin_answer(self) -> None:
        """See ``LeaseBuffer``."""
        self._coming = Counter()

    # ---- dispatch

    def _passes_over(self) -> Callable[[str], bool]:
        if not (self.quota.limited and self.by_slot):
            return super()._passes_over()
        blocked = self.blocked
        return lambda slot: slot in blocked or self._is_full(slot)

    def _may_go(self, row: Row) -> bool:
        if self.quota.limited and not self.by_slot and self._is_full(self.host_of(row)):
            return False
        return super()._may_go(row)

    def _is_full(self, slot: str) -> bool:
        return self.quota.room.of(slot) <= 0

    def _shortest_delay(self) -> float:
        # Slots of which nothing is leased here count too: there will be room to lease some.
        if not self.quota.limited:
            return 0.0
        if self.by_slot:
            hosts = {slot for slot in self.queues if slot not in self.blocked}
        else:
            hosts = {self.host_of(row) for queue in self.queues.values() for _, row in queue.rows}
        delays = (self.quota.room.delay_seconds(host) for host in hosts if self._is_full(host))
        return min((seconds for seconds in delays if seconds), default=0.0)

    def _take(self, queue: SlotQueue, place: int) -> Row:
        self.quota.taken()
        return super()._take(queue, place)
