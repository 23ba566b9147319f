"""A small buffer of leased requests in front of the store, and the order in which they are taken.

The store holds every open request; this buffer holds the first few of each download slot, leased.
The order is Scrapy's: the slot with the fewest active downloads first (with the default priority
queue), in it the highest priority, then last in, first out, or first in, first out, as the
settings say.

Invariant, for each queue, at each commit: no pending row in the store ranks before the last leased
row of the queue. Which arrivals stay leased is decided when their batch is sent: only then the
result of the batch before it is known.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.every_run import EveryRunGate
from scrapy_resume.frontier.host_blocks import HostBlocks
from scrapy_resume.frontier.lease_quota import MINIMUM_BUFFER
from scrapy_resume.frontier.slot_queue import SlotQueue, arrival_rank, may_leave, rank_of_entry
from scrapy_resume.frontier.turns import Turns
from scrapy_resume.store.contract import Continuation, Wish
from scrapy_resume.store.transaction.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from scrapy_resume.frontier.robots import RobotsGate
    from scrapy_resume.frontier.row import Rank, Row
    from scrapy_resume.store.contract import Admission

REFILLS_PER_BATCH: Final = 500
"""Slots that are leased from in one batch: 20,000 at once take more than a second."""


class LeaseBuffer:
    """Leased rows, in one queue for each download slot, or one for all."""

    def __init__(
        self,
        *,
        concurrency: int,
        by_slot: bool,
        pending: dict[str, int],
        owns_slots: bool = False,
        only_retried: bool = False,
        every_run: EveryRunGate | None = None,
        robots: RobotsGate | None = None,
    ) -> None:
        self.concurrency = concurrency
        """Number of requests that the engine may hold."""
        self.size = max(MINIMUM_BUFFER, 2 * concurrency)
        """Number of rows that are kept leased, about."""
        self.owned: set[str] | None = set() if owns_slots else None
        """Slots that this run owns; ``None``: it may lease from all."""
        self._only_retried = only_retried
        self.by_slot = by_slot
        """Each slot has its own queue; otherwise one queue has the rows of all slots."""
        self.queues: dict[str, SlotQueue] = {}
        """By slot: queues that are not empty, and those of slots that this run owns."""
        self._last_slot = ""
        self._turns = Turns()
        """Slots whose queue has rows, and some whose queue had."""
        self.slots_to_refill: set[str] = set()
        """Slots whose queue runs low, while the store has more rows for it, or may have."""
        self.every_run = every_run or EveryRunGate()
        self.robots = robots
        """``None``: robots.txt is not obeyed."""
        self._blocks = HostBlocks(by_slot=by_slot)
        self.blocked = self._blocks.blocked
        """Hosts (see ``host_of``) to which nothing may be dispatched."""
        self.delay_seconds = 0.0
        """If ``next_row`` has chosen none: the shortest delay of the slots of which it could not,
        since one waits in the downloader already; 0: there are none."""
        self.put_off: list[Row] = []
        """Rows of blocked hosts, taken out of the one queue of all, to be released."""
        self.leased = 0
        """Number of rows in the queues."""
        self.pending_rows = 0
        """Number of pending rows in the store, without those of blocked slots."""
        for slot, count in pending.items():
            self.set_pending(slot, count)

    def queue_key(self, slot: str) -> str:
        """The key of a download slot's queue; empty where one queue has all rows."""
        return storable(slot) if self.by_slot else ""

    def queue(self, slot: str) -> SlotQueue:
        """The queue of a slot. Creates it if need be."""
        queue = self.queues.get(slot)
        if queue is None:
            queue = self.queues[slot] = SlotQueue(slot)
        return queue

    def _remove(self, queue: SlotQueue) -> None:
        """Remove an empty queue, unless this run owns the slot: other workers may add rows to
        it."""
        if self.owned is None or queue.slot not in self.owned:
            del self.queues[queue.slot]

    def _may_lease(self, slot: str) -> bool:
        return self.owned is None or slot in self.owned

    def owns(self, slot: str) -> bool:
        """Whether the slot is this worker's; false where slots have no owners."""
        return self.owned is not None and slot in self.owned

    def _depth(self, slot: str) -> int:
        """Number of rows that a slot's queue keeps leased."""
        return max(1, self.size // max(1, len(self.queues)))

    def expect(self, slot: str) -> None:
        """A row is on its way to the store."""
        self.queue(slot).arriving += 1

    def settle(self, slot: str) -> None:
        """The store has answered an expected row: it is new, or a duplicate."""
        queue = self.queues[slot]
        queue.arriving -= 1
        if queue.empty:
            self._remove(queue)

    def lease_arrivals(
        self, arrivals: Iterable[Admission | Continuation], arrived_before: int | None = None
    ) -> list[Row]:
        """Decide which arrivals of a batch that is about to be sent stay leased by this run.

        Those that must stay leased are marked already. No other batch is in flight, so it is known
        which rows are leased and which are pending, and the former keep ranking before the latter.
        If ``arrived_before`` is given, each slot keeps at least one row with a lower id, if it has
        one: that row is dispatched next, whatever has arrived since. Returns rows that were leased
        and are to be released with the batch.
        """
        released: list[Row] = []
        by_slot: dict[str, list[Admission | Continuation]] = {}
        leased: Counter[str] = Counter()
        for arrival in arrivals:
            if arrival.lease:
                leased[arrival.slot] += 1
            elif not arrival.not_before and self._is_wanted(arrival):
                by_slot.setdefault(arrival.slot, []).append(arrival)
        for slot, newcomers in by_slot.items():
            queue = self.queues[slot]
            if queue.leaving or not self._may_lease(slot) or not self._blocks.is_open(slot):
                continue
            newcomers.sort(key=arrival_rank)
            released += self._lease_first(queue, newcomers, leased[slot])
            if arrived_before is not None and not queue.has_any(arrived_before):
                early = [a for a in newcomers if abs(a.seq) < arrived_before]
                if early:
                    early[0].lease = True
        return released

    def _is_wanted(self, arrival: Admission | Continuation) -> bool:
        """Whether this run is to fetch an arrival: it is a row in hand, or led to by one."""
        return not self._only_retried or isinstance(arrival, Continuation) or arrival.retried

    def _lease_first(
        self, queue: SlotQueue, newcomers: Sequence[Admission | Continuation], leased: int
    ) -> list[Row]:
        """Decide how many of a slot's arrivals, sorted by rank, stay leased, beside ``leased`` that
        must. Returns rows to be released."""
        room = 0 if queue.pending else self._depth(queue.slot) - len(queue.rows) - leased
        for arrival in newcomers:
            overtakes = bool(queue.rows) and arrival_rank(arrival) < queue.rows[-1][0]
            if not overtakes and room <= 0:
                break
            arrival.lease = True
            room -= 1
        return []

    def look_for_room(self) -> None:
        """See how many rows may be leased, before a batch is sent or a row is dispatched."""

    def begin_answer(self) -> None:
        """The last batch was answered: what it has leased is pushed next."""

    def set_pending(self, slot: str, count: int) -> None:
        """The store has ``count`` pending rows of the slot, without delayed ones."""
        if not self._may_lease(slot):
            count = 0
        queue = self.queue(slot)
        blocked = slot in self.blocked
        if not blocked:
            self.pending_rows += count - queue.pending
        queue.pending = count
        if queue.empty:
            self._remove(queue)
        elif not queue.rows and self._runs_low(queue):
            self.slots_to_refill.add(slot)

    def push(self, row: Row) -> None:
        """Add a leased row, ready to be dispatched."""
        queue = self.queue(row.slot)
        rows = queue.rows
        if rows and row.rank < rows[-1][0]:
            insort(rows, (row.rank, row), key=rank_of_entry)
        else:
            rows.append((row.rank, row))
        self._turns.add(row.slot)
        self.leased += 1
        if row.every_run:
            self.every_run.arrived(row.id)

    def overflow(self, slot: str) -> Iterator[Row]:
        """Take the last rows out of a queue that has more than twice its share."""
        queue = self.queues.get(slot)
        share = self._depth(slot)
        if queue is None or len(queue.rows) <= max(1, 2 * share):
            return
        kept: list[tuple[Rank, Row]] = []
        excess = len(queue.rows) - share
        while excess and queue.rows:
            entry = queue.rows.pop()
            row = entry[1]
            if may_leave(row):
                excess -= 1
                self._went_back(queue, 1)
                yield row
            else:
                kept.append(entry)
        queue.rows.extend(reversed(kept))

    def _went_back(self, queue: SlotQueue, count: int) -> None:
        """Rows of a queue are to be released. Arrivals from now on must not overtake them."""
        self.leased -= count
        queue.pending += count
        if queue.slot not in self.blocked:
            self.pending_rows += count

    def take_rows(self, ids: Collection[int]) -> list[Row]:
        """Take rows out of the queues, those of these that are there and may leave."""
        taken: list[Row] = []
        for queue in list(self.queues.values()):
            going = [row for _, row in queue.rows if row.id in ids and may_leave(row)]
            if not going:
                continue
            queue.rows[:] = [entry for entry in queue.rows if entry[1] not in going]
            self.leased -= len(going)
            taken += going
            if self._runs_low(queue):
                self.slots_to_refill.add(queue.slot)
            if queue.empty:
                self._remove(queue)
        return taken

    def take_all(self, queue: SlotQueue) -> list[Row]:
        """Take all rows out of a queue."""
        rows = [row for _, row in queue.rows]
        self.leased -= len(rows)
        queue.rows.clear()
        return rows

    def next_row(
        self, active: Callable[[str], int], arrived_before: int | None = None
    ) -> Row | None:
        """Take the row that comes next; ``None``: none may be dispatched now.

        ``active`` gives the number of active downloads of a slot. Rows with the id
        ``arrived_before`` or a higher one are passed over, unless there are no others.
        """
        if self.every_run.awaited:
            return None
        passes_over, some_blocked = self._passes_over(), self._blocks.has_any
        best: tuple[SlotQueue, int] | None = None
        fewest = 0
        idle: list[str] = []
        for slot in self._turns.after(self._last_slot):
            queue = self.queues.get(slot)
            if queue is None or not queue.rows:
                idle.append(slot)
                continue
            if queue.leaving or passes_over(slot):
                continue
            closed = self._put_off_rows(queue) if some_blocked else ()
            place = queue.first(arrived_before, closed, self._may_go)
            if place is None:
                continue
            count = active(slot) if self.by_slot else 0
            if best is None or count < fewest:
                best, fewest = (queue, place), count
            if not count:
                break
        for slot in idle:
            self._turns.remove(slot)
        if best is None:
            if arrived_before is not None:
                return self.next_row(active)
            self.delay_seconds = self._shortest_delay()
            return None
        queue, place = best
        self._last_slot = queue.slot
        return self._take(queue, place)

    def take_first(self, slot: str) -> Row:
        """Take the first row of a slot's queue, whatever others have ready."""
        return self._take(self.queues[slot], 0)

    def _passes_over(self) -> Callable[[str], bool]:
        """Whether nothing of a slot is dispatched now."""
        return self.blocked.__contains__

    def _shortest_delay(self) -> float:
        """See ``delay_seconds``."""
        return 0.0

    def _may_go(self, row: Row) -> bool:
        if self.every_run.is_closed and not row.every_run:
            return False
        return self.robots is None or self.robots.lets_through(row)

    def _take(self, queue: SlotQueue, place: int) -> Row:
        _, row = queue.rows.pop(place)
        self.leased -= 1
        if self._runs_low(queue):
            self.slots_to_refill.add(queue.slot)
        if queue.empty:
            self._remove(queue)
        if self.robots is not None:
            self.robots.sent(row)
        return row

    @property
    def needs_refill(self) -> bool:
        """Whether a queue runs low while the store has more rows for it."""
        return bool(self.slots_to_refill)

    @property
    def has_dry_queue(self) -> bool:
        """Whether a queue is empty while the store has more rows for it."""
        return any(
            queue.pending and not queue.rows and queue.slot not in self.blocked
            for queue in self.queues.values()
        )

    def wishes(self) -> list[Wish]:
        """What to lease next for the queues that run low, of ``REFILLS_PER_BATCH`` slots at most;
        the other slots follow with the next calls."""
        found = []
        asking = self._in_turn(self.slots_to_refill)[:REFILLS_PER_BATCH]
        for slot in asking:
            queue = self.queues.get(slot)
            if queue is None or queue.leaving or slot in self.blocked:
                continue
            if queue.pending or queue.arriving or self.owns(slot):
                count = self._count_to_lease(queue)
                if count > 0:
                    found.append(Wish(slot, count))
        self.slots_to_refill.difference_update(asking)
        return found

    def refill_empty_queues(self) -> None:
        """After an answer of the store: ask again for queues that are still empty while the store
        has rows for them."""
        for slot, queue in self.queues.items():
            if not queue.rows and self._runs_low(queue):
                self.slots_to_refill.add(slot)

    def _runs_low(self, queue: SlotQueue) -> bool:
        """Whether more rows are to be leased for a queue, and the store has some."""
        return (
            bool(queue.pending)
            and queue.slot not in self.blocked
            and 2 * len(queue.rows) <= self._depth(queue.slot)
        )

    def _count_to_lease(self, queue: SlotQueue) -> int:
        """Number of rows to ask the store for."""
        depth = 1 if queue.slot in self._blocks.probed else self._depth(queue.slot)
        return depth - len(queue.rows)

    def _in_turn(self, slots: Iterable[str]) -> list[str]:
        """The order in which slots are leased from."""
        return sorted(slots)

    # ---- blocked hosts

    def host_of(self, row: Row) -> str:
        """What is blocked as one: a slot, or the URL's host where one queue has all rows."""
        return self._blocks.host_of(row)

    def block(self, host: str) -> None:
        """Dispatch nothing to a host. Its leased rows are released with the next batch."""
        if not self._blocks.block(host):
            return
        queue = self.queues.get(host)
        if queue is not None and self.by_slot:
            self.pending_rows -= queue.pending
            self.slots_to_refill.discard(host)

    def unblock(self, host: str) -> None:
        """Dispatch to a host again."""
        if not self._blocks.unblock(host):
            return
        queue = self.queues.get(host)
        if queue is not None and self.by_slot:
            self.pending_rows += queue.pending
            if queue.pending:
                self.slots_to_refill.add(host)

    def allow_probe(self, host: str) -> None:
        """Let one row be dispatched to a host, as a probe."""
        self.unblock(host)
        self._blocks.probed.add(host)

    def claim_probe(self, row: Row) -> bool:
        """Whether a row that is dispatched is the probe of its host; no other one may be then."""
        return self._blocks.claim_probe(row)

    def _put_off_rows(self, queue: SlotQueue) -> set[Row]:
        """Where one queue has all rows: take out those that may not be dispatched, for the next
        batch. Returns the rows that may not be dispatched, those that stay included."""
        taken, closed = self._blocks.split(queue)
        if taken:
            self.put_off += taken
            self.leased -= len(taken)
            if queue.pending:
                self.slots_to_refill.add(queue.slot)
        return closed

    def take_blocked_rows(self) -> list[Row]:
        """Take out the leased rows of blocked hosts, without those that have to run in this
        process, and all rows but the first of probed hosts."""
        rows, self.put_off = self.put_off, []
        if not self.by_slot:
            return rows
        for host in (*self._blocks.blocked, *self._blocks.probed):
            queue = self.queues.get(host)
            if queue is None:
                continue
            first = 1 if host in self._blocks.probed else 0
            going = [entry for entry in queue.rows[first:] if may_leave(entry[1])]
            queue.rows[:] = [entry for entry in queue.rows if entry not in going]
            self.leased -= len(going)
            rows += [row for _, row in going]
        return rows

    @property
    def blocked_rows(self) -> int:
        """Number of rows that wait for a blocked host, here and in the store."""
        queues = [self.queues[host] for host in self.blocked if host in self.queues]
        return len(self.put_off) + sum(queue.pending + len(queue.rows) for queue in queues)

    @property
    def ready_rows(self) -> int:
        """Number of leased rows that may be dispatched."""
        queues = [self.queues[host] for host in self.blocked if host in self.queues]
        return self.leased - sum(len(queue.rows) for queue in queues)
