"""The leased requests of one download slot, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.frontier.row import rank_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy_resume.frontier.row import Rank, Row
    from scrapy_resume.store.contract import Admission, Continuation


class SlotQueue:
    """The leased rows of one download slot, best first."""

    __slots__ = ("arriving", "leaving", "pending", "quiet_since", "rows", "slot")

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.rows: list[tuple[Rank, Row]] = []
        self.pending = 0
        """Pending rows in the store, as of the last commit."""
        self.arriving = 0
        """Rows on their way into the store."""
        self.leaving = False
        """Nothing more is handed out: another worker is to have the slot."""
        self.quiet_since: float | None = None
        """When nothing was left in it, on the monotonic clock; ``None``: something is."""

    def first(
        self,
        arrived_before: int | None,
        closed: Collection[Row],
        may_go: Callable[[Row], bool],
    ) -> int | None:
        """The place of the best row that may go, of those that arrived before that one's id if
        given, and that are not among the ``closed``."""
        for place, (rank, row) in enumerate(self.rows):
            late = arrived_before is not None and abs(rank[2]) >= arrived_before
            if not late and row not in closed and may_go(row):
                return place
        return None

    def has_any(self, arrived_before: int) -> bool:
        """Whether a row arrived before that one's id."""
        return any(abs(rank[2]) < arrived_before for rank, _ in self.rows)

    @property
    def can_be_moved(self) -> bool:
        """Nothing in it has to run in this process."""
        return all(may_leave(row) for _, row in self.rows)

    @property
    def empty(self) -> bool:
        """Nothing is here, nothing is there, nothing is on its way."""
        return not (self.rows or self.pending or self.arriving)


def rank_of_entry(entry: tuple[Rank, Row]) -> Rank:
    """Where an entry of a queue stands."""
    return entry[0]


def arrival_rank(arrival: Admission | Continuation) -> Rank:
    """Where an arrival would stand."""
    return rank_of(arrival.priority, arrival.start, arrival.seq, every_run=False)


def may_leave(row: Row) -> bool:
    """It has not to run in this process."""
    return row.recorded and not row.every_run and not row.open_below
