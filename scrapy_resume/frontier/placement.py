"""Where a request stands in the frontier: its slot, its rank, and when it is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.frontier.row import place_of

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.retries import Backoff
    from scrapy_resume.frontier.row import Rank, Row
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.settings.queue_order import QueueOrder


class Placement:
    """By the order that the settings ask for."""

    def __init__(
        self, order: QueueOrder, frontier: LeaseBuffer, backoff: Backoff, engine: Engine
    ) -> None:
        self._order = order
        self.frontier = frontier
        self._backoff = backoff
        self._engine = engine

    def slot_of(self, request: Request) -> str:
        """The key of the slot, or of the one queue of all where priorities come first."""
        return self.frontier.queue_key(self._engine.slot_key(request))

    def rank_of(self, request: Request, row_id: int) -> Rank:
        """The lowest is dispatched first. ``row_id`` tells the order of arrival."""
        return place_of(self._order, request, row_id)

    def not_before(self, request: Request, row: Row | None) -> float:
        """When a request that comes of ``row`` is due, in seconds since the epoch; 0: now."""
        return self._backoff.not_before(request, row)
