"""Rows of the frontier, as the store leases them."""

from __future__ import annotations

from scrapy_resume.frontier.row import Row, rank_of


def leased(row_id: int, slot: str) -> Row:
    """A recorded row of a slot: the higher its id, the sooner its turn."""
    made = Row(row_id, row_id.to_bytes(20, "big"), recorded=True)
    made.slot = slot
    made.rank = rank_of(0, 0, -row_id, every_run=False)
    return made
