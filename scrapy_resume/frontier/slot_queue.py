"""The leased rows of one download slot, in the order in which they are dispatched."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from scrapy_resume.frontier.row import rank_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy_resume.frontier.row import Rank, Row
    from scrapy_resume.store.contract import Admission, Continuation


class SlotQueue:
    """Leased rows of one download slot, or of all slots, and what is known of others in the
    store."""

    __slots__ = ("arriving", "leaving", "pending", "quiet_since", "rows", "slot")

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.rows: list[tuple[Rank, Row]] = []
        """Sorted by rank, the lowest first."""
        self.pending = 0
        """Number of pending rows in the store, as of the last commit."""
        self.arriving = 0
        """Number of rows on their way to the store."""
        self.leaving = False
        """Nothing more is dispatched: another worker is to have the slot."""
        self.quiet_since: float | None = None
        """Since when the queue is empty, on the monotonic clock; ``None``: it is not."""

    def first(
        self,
        arrived_before: int | None,
        closed: Collection[Row],
        may_go: Callable[[Row], bool],
    ) -> int | None:
        """The index of the first row for which ``may_go`` is true; ``None``: there is none.

        Rows in ``closed`` are passed over, and so are those whose id is ``arrived_before`` or
        higher (``None``: no limit).
        """
        for place, (rank, row) in enumerate(self.rows):
            late = arrived_before is not None and abs(rank[2]) >= arrived_before
            if not late and row not in closed and may_go(row):
                return place
        return None

    def has_any(self, arrived_before: int) -> bool:
        """Whether a row has an id below ``arrived_before``."""
        return any(abs(rank[2]) < arrived_before for rank, _ in self.rows)

    def count_of_priority(self, rank: Rank) -> int:
        """Number of leased rows that have the priority of that rank, or a higher one."""
        return bisect_right(self.rows, rank[:2], key=_priority_of_entry)

    @property
    def can_be_moved(self) -> bool:
        """Whether no row has to run in this process."""
        return all(may_leave(row) for _, row in self.rows)

    @property
    def empty(self) -> bool:
        """Whether no row is leased, pending in the store, or on its way there."""
        return not (self.rows or self.pending or self.arriving)


def rank_of_entry(entry: tuple[Rank, Row]) -> Rank:
    """The rank of a queue's entry."""
    return entry[0]


def _priority_of_entry(entry: tuple[Rank, Row]) -> tuple[int, int]:
    return entry[0][:2]


def arrival_rank(arrival: Admission | Continuation) -> Rank:
    """The rank that an arrival will have."""
    return rank_of(arrival.priority, arrival.start, arrival.seq, every_run=False)


def may_leave(row: Row) -> bool:
    """Whether a row may be released: it does not have to run in this process."""
    return row.recorded and not row.every_run and not row.open_below
