"""Which leased request comes next. A small buffer in memory before the store's frontier.

The store holds every open request; this buffer holds the best few of each download
slot, leased. Scrapy's order is kept: the slot with the fewest active downloads first
(under its default priority queue), in it the highest priority, then last in, first out,
or first in, first out, as the settings say.

Invariant, for each lane: no pending row of the store ranks before the lane's worst
leased row, but for what arrived within the current commit interval.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from scrapy_resume.store.contract import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scrapy_resume.rows import Rank, Row

MINIMUM_BUFFER: Final = 16
HOSTS_REMEMBERED: Final = 20_000
"""Hosts whose robots.txt is known to be there; a forgotten one is let through singly again."""


class Lane:
    """The leased rows of one download slot, best first."""

    __slots__ = ("arriving", "arriving_leased", "pending", "rows", "slot")

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.rows: list[tuple[Rank, Row]] = []
        self.pending = 0
        """Pending rows in the store, as of the last commit."""
        self.arriving = 0
        """Rows on their way into the store as pending."""
        self.arriving_leased = 0
        """Rows on their way into the store that this run will keep, if they are new."""

    @property
    def empty(self) -> bool:
        """Nothing is here, nothing is there, nothing is on its way."""
        return not (self.rows or self.pending or self.arriving or self.arriving_leased)


class RobotsGate:
    """One request for a host first, where robots.txt is obeyed.

    While a host's robots.txt loads, Scrapy lets all but the first waiting requests
    through without its rules; so the others wait until the first has passed.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Row] = {}
        self._passed: OrderedDict[str, None] = OrderedDict()

    def lets_through(self, row: Row) -> bool:
        """The host's rules are known, or the row may be the one that loads them."""
        host = _host(row.url)
        return host in self._passed or host not in self._waiting

    def sent(self, row: Row) -> None:
        """The row is handed to the engine."""
        host = _host(row.url)
        if host not in self._passed:
            self._waiting.setdefault(host, row)

    def passed(self, row: Row) -> bool:
        """The row has been through the robots.txt middleware, or ended before.

        Returns whether others were kept waiting for that.
        """
        host = _host(row.url)
        if self._waiting.get(host) is not row:
            return False
        del self._waiting[host]
        self._passed[host] = None
        if len(self._passed) > HOSTS_REMEMBERED:
            self._passed.popitem(last=False)
        return True


def _host(url: str) -> str:
    return urlsplit(url).netloc


class Frontier:
    """The leased buffer, by download slot."""

    def __init__(self, *, concurrency: int, by_slot: bool, pending: dict[str, int]) -> None:
        self._size = max(MINIMUM_BUFFER, 2 * concurrency)
        self._by_slot = by_slot
        self._lanes: dict[str, Lane] = {}
        self._last_slot = ""
        self._hungry: set[str] = set()
        self._every_run: set[int] = set()
        self.awaits_every_run = False
        """Requests that are to come first in every run have not arrived yet."""
        self.robots: RobotsGate | None = None
        self.leased = 0
        """Rows in the buffer."""
        self.pending_rows = 0
        """Pending rows in the store, all slots."""
        for slot, count in pending.items():
            self.set_pending(slot, count)

    def lane_key(self, slot: str) -> str:
        """The lane of a download slot; all are one where the settings order by priority first."""
        return slot if self._by_slot else ""

    def _lane(self, slot: str) -> Lane:
        lane = self._lanes.get(slot)
        if lane is None:
            lane = self._lanes[slot] = Lane(slot)
        return lane

    def _depth(self) -> int:
        """How many rows a lane keeps leased."""
        return max(1, self._size // max(1, len(self._lanes)))

    def expect(self, slot: str, rank: Rank) -> bool:
        """A row is on its way into the store. Returns whether this run should keep it leased."""
        lane = self._lane(slot)
        stored = lane.pending + lane.arriving
        if stored:
            keep = bool(lane.rows) and rank < lane.rows[-1][0]
        else:
            keep = len(lane.rows) + lane.arriving_leased < self._depth() or (
                bool(lane.rows) and rank < lane.rows[-1][0]
            )
        if keep:
            lane.arriving_leased += 1
        else:
            lane.arriving += 1
        return keep

    def expect_pinned(self, slot: str) -> None:
        """A row is on its way that this run keeps in any case."""
        self._lane(slot).arriving_leased += 1

    def settle(self, slot: str, *, leased: bool) -> None:
        """An expected row is in the store, or was found to be a duplicate."""
        lane = self._lanes[slot]
        if leased:
            lane.arriving_leased -= 1
        else:
            lane.arriving -= 1
        if lane.empty:
            del self._lanes[slot]

    def set_pending(self, slot: str, count: int) -> None:
        """So many rows of the slot are pending in the store, and not delayed."""
        lane = self._lane(slot)
        self.pending_rows += count - lane.pending
        lane.pending = count
        if lane.empty:
            del self._lanes[slot]
        elif count and not lane.rows:
            self._hungry.add(slot)

    def push(self, row: Row) -> None:
        """A leased row, ready to be handed out."""
        lane = self._lane(row.slot)
        insort(lane.rows, (row.rank, row), key=_rank)
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
        """Take out the worst rows of a lane that has grown to twice its share."""
        lane = self._lanes.get(slot)
        share = self._depth()
        if lane is None or len(lane.rows) <= 2 * share:
            return
        kept: list[tuple[Rank, Row]] = []
        excess = len(lane.rows) - share
        while excess and lane.rows:
            entry = lane.rows.pop()
            row = entry[1]
            if row.recorded and not row.every_run and not row.open_below:
                excess -= 1
                self.leased -= 1
                yield row
            else:
                kept.append(entry)
        lane.rows.extend(reversed(kept))

    def next_row(self, active: Callable[[str], int]) -> Row | None:
        """Take the row that comes next; ``None``: none may be handed out now.

        ``active`` gives the number of active downloads of a download slot.
        """
        if self.awaits_every_run:
            return None
        best: Lane | None = None
        best_key: tuple[int, bool, str] | None = None
        for slot, lane in self._lanes.items():
            if not lane.rows or not self._may_go(lane.rows[0][1]):
                continue
            key = (active(slot) if self._by_slot else 0, slot <= self._last_slot, slot)
            if best_key is None or key < best_key:
                best, best_key = lane, key
        if best is None:
            return None
        self._last_slot = best.slot
        return self._take(best)

    def _may_go(self, row: Row) -> bool:
        if self._every_run and not row.every_run:
            return False
        return self.robots is None or self.robots.lets_through(row)

    def _take(self, lane: Lane) -> Row:
        _, row = lane.rows.pop(0)
        self.leased -= 1
        if lane.pending and 2 * len(lane.rows) <= self._depth():
            self._hungry.add(lane.slot)
        if lane.empty:
            del self._lanes[lane.slot]
        if self.robots is not None:
            self.robots.sent(row)
        return row

    @property
    def hungry(self) -> bool:
        """Some lane runs low while the store has more for it."""
        return bool(self._hungry)

    def wishes(self) -> list[Wish]:
        """What to lease next, for the lanes that run low."""
        share = self._depth()
        found = []
        for slot in sorted(self._hungry):
            lane = self._lanes.get(slot)
            if lane is None:
                continue
            count = share - len(lane.rows) - lane.arriving_leased
            if count > 0 and (lane.pending or lane.arriving):
                found.append(Wish(slot, count))
        self._hungry.clear()
        return found

    def renew_hunger(self) -> None:
        """After an answer: lanes that have nothing while the store has something ask again."""
        for slot, lane in self._lanes.items():
            if not lane.rows and lane.pending:
                self._hungry.add(slot)


def _rank(entry: tuple[Rank, Row]) -> Rank:
    return entry[0]
