"""Which leased request comes next. A small buffer in memory before the store's frontier.

The store holds every open request; this buffer holds the best few of each download
slot, leased. Scrapy's order is kept: the slot with the fewest active downloads first
(under its default priority queue), in it the highest priority, then last in, first out,
or first in, first out, as the settings say.

Invariant, for each queue, at each commit: no pending row of the store ranks before the
queue's worst leased row. Which arrivals stay leased is decided when their batch goes out:
only then is known what the batch before it has brought.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from scrapy_resume.frontier.slot_queue import SlotQueue, arrival_rank, may_leave, rank_of_entry
from scrapy_resume.store.contract import Wish
from scrapy_resume.store.transaction.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scrapy_resume.frontier.robots import RobotsGate
    from scrapy_resume.frontier.row import Rank, Row
    from scrapy_resume.store.contract import Admission, Continuation

MINIMUM_BUFFER: Final = 16
LANES_A_BATCH: Final = 500
"""Lanes that ask in one batch: leasing from 20,000 slots at once takes more than a second."""


class LeaseBuffer:
    """The leased buffer, by download slot."""

    def __init__(
        self,
        *,
        concurrency: int,
        by_slot: bool,
        pending: dict[str, int],
        owns_slots: bool = False,
        awaits_every_run: bool = False,
        robots: RobotsGate | None = None,
    ) -> None:
        self.concurrency = concurrency
        """Requests that the engine may hold."""
        self.size = max(MINIMUM_BUFFER, 2 * concurrency)
        """Rows that are kept leased, about."""
        self.owned: set[str] | None = set() if owns_slots else None
        """Slots that are this run's; ``None``: it may lease from all."""
        self.by_slot = by_slot
        """Each slot has a queue of its own; otherwise one queue has the rows of all."""
        self.queues: dict[str, SlotQueue] = {}
        """By slot: those that have something, and those of slots that are this run's."""
        self._last_slot = ""
        self.hungry_slots: set[str] = set()
        """Lanes that run low while the store has, or may have, more for them."""
        self._every_run: set[int] = set()
        self.awaits_every_run = awaits_every_run
        """Requests that are to come first in every run have not arrived yet."""
        self.robots = robots
        """``None``: robots.txt is not obeyed."""
        self.blocked: set[str] = set()
        """Hosts (see ``host_of``) that are not to be asked for now."""
        self._probed: set[str] = set()
        """Hosts that may be asked for one thing, as a probe."""
        self.put_off: list[Row] = []
        """Rows of blocked hosts, out of the one queue of all."""
        self.leased = 0
        """Rows in the buffer."""
        self.pending_rows = 0
        """Pending rows in the store, of all slots that are not blocked."""
        for slot, count in pending.items():
            self.set_pending(slot, count)

    def queue_key(self, slot: str) -> str:
        """The queue of a download slot; all are one where the settings order by priority first."""
        return storable(slot) if self.by_slot else ""

    def queue(self, slot: str) -> SlotQueue:
        """A slot's queue, which is there from now on."""
        queue = self.queues.get(slot)
        if queue is None:
            queue = self.queues[slot] = SlotQueue(slot)
        return queue

    def _drop(self, queue: SlotQueue) -> None:
        """Nothing is in a queue. One that is this run's is kept: others may add to it."""
        if self.owned is None or queue.slot not in self.owned:
            del self.queues[queue.slot]

    def _may_lease(self, slot: str) -> bool:
        return self.owned is None or slot in self.owned

    def _is_own(self, slot: str) -> bool:
        return self.owned is not None and slot in self.owned

    def _depth(self) -> int:
        """How many rows a queue keeps leased."""
        return max(1, self.size // max(1, len(self.queues)))

    def expect(self, slot: str) -> None:
        """A row is on its way into the store."""
        self.queue(slot).arriving += 1

    def settle(self, slot: str) -> None:
        """An expected row is in the store, or was found to be a duplicate."""
        queue = self.queues[slot]
        queue.arriving -= 1
        if queue.empty:
            self._drop(queue)

    def choose(
        self, arrivals: Iterable[Admission | Continuation], arrived_before: int | None = None
    ) -> None:
        """Decide which arrivals of a batch that is about to go this run keeps leased.

        Those that have to be are so already. No other batch is on its way: what is leased and
        what is pending is known, and stays apart, the one before the other. One more is kept of
        those that came before ``arrived_before``: it is handed out next, whatever came since.
        """
        by_slot: dict[str, list[Admission | Continuation]] = {}
        leased: Counter[str] = Counter()
        for arrival in arrivals:
            if arrival.lease:
                leased[arrival.slot] += 1
            elif not arrival.not_before:
                by_slot.setdefault(arrival.slot, []).append(arrival)
        for slot, newcomers in by_slot.items():
            queue = self.queues[slot]
            if queue.leaving or not self._may_lease(slot) or not self._is_open(slot):
                continue
            room = 0 if queue.pending else self._depth() - len(queue.rows) - leased[slot]
            for arrival in sorted(newcomers, key=arrival_rank):
                overtakes = bool(queue.rows) and arrival_rank(arrival) < queue.rows[-1][0]
                if not overtakes and room <= 0:
                    break
                arrival.lease = True
                room -= 1
            if arrived_before is not None and not queue.has_any(arrived_before):
                early = [a for a in newcomers if abs(a.seq) < arrived_before]
                if early:
                    min(early, key=arrival_rank).lease = True

    def set_pending(self, slot: str, count: int) -> None:
        """So many rows of the slot are pending in the store, and not delayed."""
        if not self._may_lease(slot):
            count = 0
        queue = self.queue(slot)
        blocked = slot in self.blocked
        if not blocked:
            self.pending_rows += count - queue.pending
        queue.pending = count
        if queue.empty:
            self._drop(queue)
        elif count and not queue.rows and not blocked:
            self.hungry_slots.add(slot)

    def push(self, row: Row) -> None:
        """A leased row, ready to be handed out."""
        queue = self.queue(row.slot)
        insort(queue.rows, (row.rank, row), key=rank_of_entry)
        self.leased += 1
        if row.every_run:
            self._every_run.add(row.id)
            self.awaits_every_run = False

    def ended(self, row: Row) -> None:
        """A row that came first in this run has ended: others may go."""
        self._every_run.discard(row.id)

    def expect_every_run(self, row_id: int) -> None:
        """A row that comes first in this run is on its way into the store."""
        self._every_run.add(row_id)
        self.awaits_every_run = False

    def drop_every_run(self, row_id: int) -> None:
        """It was known already."""
        self._every_run.discard(row_id)

    def overflow(self, slot: str) -> Iterator[Row]:
        """Take out the worst rows of a queue that has grown to twice its share."""
        queue = self.queues.get(slot)
        share = self._depth()
        if queue is None or len(queue.rows) <= 2 * share:
            return
        kept: list[tuple[Rank, Row]] = []
        excess = len(queue.rows) - share
        while excess and queue.rows:
            entry = queue.rows.pop()
            row = entry[1]
            if may_leave(row):
                excess -= 1
                self.leased -= 1
                # It goes with the next batch: what arrives from now on must not pass it by.
                queue.pending += 1
                if slot not in self.blocked:
                    self.pending_rows += 1
                yield row
            else:
                kept.append(entry)
        queue.rows.extend(reversed(kept))

    def take_all(self, queue: SlotQueue) -> list[Row]:
        """Take out what is leased of a queue."""
        rows = [row for _, row in queue.rows]
        self.leased -= len(rows)
        queue.rows.clear()
        return rows

    def next_row(
        self, active: Callable[[str], int], arrived_before: int | None = None
    ) -> Row | None:
        """Take the row that comes next; ``None``: none may be handed out now.

        ``active`` gives the number of active downloads of a download slot. Rows that came
        later than ``arrived_before`` are passed over, unless there are no others.
        """
        if self.awaits_every_run:
            return None
        best: tuple[SlotQueue, int] | None = None
        best_key: tuple[int, bool, str] | None = None
        for slot, queue in self.queues.items():
            if queue.leaving or slot in self.blocked:
                continue
            closed = self._put_off_rows(queue) if self.blocked or self._probed else ()
            place = queue.first(arrived_before, closed, self._may_go)
            if place is None:
                continue
            key = (active(slot) if self.by_slot else 0, slot <= self._last_slot, slot)
            if best_key is None or key < best_key:
                best, best_key = (queue, place), key
        if best is None:
            return self.next_row(active) if arrived_before is not None else None
        queue, place = best
        self._last_slot = queue.slot
        return self._take(queue, place)

    def _may_go(self, row: Row) -> bool:
        if self._every_run and not row.every_run:
            return False
        return self.robots is None or self.robots.lets_through(row)

    def _take(self, queue: SlotQueue, place: int) -> Row:
        _, row = queue.rows.pop(place)
        self.leased -= 1
        if queue.pending and 2 * len(queue.rows) <= self._depth():
            self.hungry_slots.add(queue.slot)
        if queue.empty:
            self._drop(queue)
        if self.robots is not None:
            self.robots.sent(row)
        return row

    @property
    def hungry(self) -> bool:
        """Some queue runs low while the store has more for it."""
        return bool(self.hungry_slots)

    @property
    def has_dry_queue(self) -> bool:
        """A queue has nothing left while the store has more for it."""
        return any(
            queue.pending and not queue.rows and queue.slot not in self.blocked
            for queue in self.queues.values()
        )

    def wishes(self) -> list[Wish]:
        """What to lease next, for the queues that run low; very many ask one part after another."""
        share = self._depth()
        found = []
        asking = sorted(self.hungry_slots)[:LANES_A_BATCH]
        for slot in asking:
            queue = self.queues.get(slot)
            if queue is None or queue.leaving or slot in self.blocked:
                continue
            count = (1 if slot in self._probed else share) - len(queue.rows)
            if count > 0 and (queue.pending or queue.arriving or self._is_own(slot)):
                found.append(Wish(slot, count))
        self.hungry_slots.difference_update(asking)
        return found

    def renew_hunger(self) -> None:
        """After an answer: queues that have nothing while the store has something ask again."""
        for slot, queue in self.queues.items():
            if not queue.rows and queue.pending and slot not in self.blocked:
                self.hungry_slots.add(slot)

    # ---- hosts that are not to be asked

    def host_of(self, row: Row) -> str:
        """What is blocked as one: a slot; where one queue has them all, the URL's host."""
        return row.slot if self.by_slot else urlsplit(row.url).hostname or ""

    def _is_open(self, slot: str) -> bool:
        return slot not in self.blocked and slot not in self._probed

    def block(self, host: str) -> None:
        """Hand nothing of a host out. What is leased goes back with the next batch."""
        self._probed.discard(host)
        if host in self.blocked:
            return
        self.blocked.add(host)
        queue = self.queues.get(host)
        if queue is not None and self.by_slot:
            self.pending_rows -= queue.pending
            self.hungry_slots.discard(host)

    def unblock(self, host: str) -> None:
        """What a host is asked for may go again."""
        self._probed.discard(host)
        if host not in self.blocked:
            return
        self.blocked.discard(host)
        queue = self.queues.get(host)
        if queue is not None and self.by_slot:
            self.pending_rows += queue.pending
            if queue.pending:
                self.hungry_slots.add(host)

    def let_one_go(self, host: str) -> None:
        """One row of a host may be dispatched, as a probe."""
        self.unblock(host)
        self._probed.add(host)

    def is_probe(self, row: Row) -> bool:
        """Whether a row that is dispatched is the one that may go to its host; no other one may."""
        host = self.host_of(row) if self._probed else ""
        if host not in self._probed:
            return False
        self._probed.discard(host)
        return True

    def _put_off_rows(self, queue: SlotQueue) -> set[Row]:
        """Take out of the queue of all hosts what may not go; returns what of it has to stay."""
        if self.by_slot:
            return set()
        kept: list[tuple[Rank, Row]] = []
        closed: set[Row] = set()
        probed: set[str] = set()
        for rank, row in queue.rows:
            host = self.host_of(row)
            may_go = host not in self.blocked and host not in probed
            if may_go or not may_leave(row):
                kept.append((rank, row))
            else:
                self.put_off.append(row)
            if not may_go:
                closed.add(row)
            if host in self._probed:
                probed.add(host)
        if len(kept) < len(queue.rows):
            self.leased -= len(queue.rows) - len(kept)
            queue.rows[:] = kept
            if queue.pending:
                self.hungry_slots.add(queue.slot)
        return closed

    def take_blocked_rows(self) -> list[Row]:
        """Take out what is leased of blocked hosts, and can go back to the store."""
        rows, self.put_off = self.put_off, []
        if not self.by_slot:
            return rows
        for host in (*self.blocked, *self._probed):
            queue = self.queues.get(host)
            if queue is None:
                continue
            first = 1 if host in self._probed else 0
            going = [entry for entry in queue.rows[first:] if may_leave(entry[1])]
            queue.rows[:] = [entry for entry in queue.rows if entry not in going]
            self.leased -= len(going)
            rows += [row for _, row in going]
        return rows

    @property
    def blocked_rows(self) -> int:
        """Rows that are known to wait for a host: pending in the store, or held here."""
        queues = [self.queues[host] for host in self.blocked if host in self.queues]
        return len(self.put_off) + sum(queue.pending + len(queue.rows) for queue in queues)

    @property
    def ready_rows(self) -> int:
        """Leased rows that may be handed out."""
        if not self.blocked:
            return self.leased
        queues = [self.queues[host] for host in self.blocked if host in self.queues]
        return self.leased - sum(len(queue.rows) for queue in queues)
