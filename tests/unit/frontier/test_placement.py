"""Slots, ranks and due times of requests, by the order that the settings ask for."""

from __future__ import annotations

from typing import Literal

import pytest
from scrapy import Request

from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.placement import Placement
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.frontier.row import Row
from scrapy_resume.settings.queue_order import QueueOrder
from tests.support.clock import ManualClock, StubEngine

URL = "http://shop.test/page"
DELAY_SECONDS = 10


def placement(
    *, by_slot: bool = True, lifo: bool = True, start: Literal["fifo", "lifo"] | None = "fifo"
) -> Placement:
    order = QueueOrder(by_slot=by_slot, lifo=lifo, start=start, dedupe=True)
    frontier = LeaseBuffer(concurrency=1, by_slot=by_slot, pending={})
    return Placement(order, frontier, Backoff(DELAY_SECONDS, 600, ManualClock()), StubEngine())


def sorted_by_rank(placed: Placement, *requests: Request) -> list[Request]:
    """The requests, which arrived in this order, as they are dispatched."""
    ranks = {placed.rank_of(request, row_id): request for row_id, request in enumerate(requests, 1)}
    return [ranks[rank] for rank in sorted(ranks)]


@pytest.mark.parametrize(("by_slot", "slot"), [(True, "shop.test"), (False, "")])
def test_each_slot_has_a_queue_only_where_slots_come_before_priorities(
    by_slot: bool, slot: str
) -> None:
    assert placement(by_slot=by_slot).slot_of(Request(URL)) == slot


@pytest.mark.parametrize(("lifo", "expected"), [(True, [2, 1, 0]), (False, [2, 0, 1])])
def test_priority_comes_before_the_order_of_arrival(lifo: bool, expected: list[int]) -> None:
    requests = [Request(URL), Request(URL), Request(URL, priority=1)]
    found = sorted_by_rank(placement(lifo=lifo), *requests)
    assert found == [requests[index] for index in expected]


@pytest.mark.parametrize(
    ("start", "expected"), [("fifo", [2, 0, 1]), ("lifo", [2, 1, 0]), (None, [2, 1, 0])]
)
def test_start_requests_have_an_order_of_their_own_after_others(
    start: Literal["fifo", "lifo"] | None, expected: list[int]
) -> None:
    meta = {"is_start_request": True}
    requests = [Request(URL, meta=meta), Request(URL, meta=meta), Request(URL)]
    found = sorted_by_rank(placement(start=start), *requests)
    assert found == [requests[index] for index in expected]


@pytest.mark.parametrize("priority", [10**30, -(10**30)])
def test_a_priority_beyond_the_integers_of_databases_keeps_its_side(priority: int) -> None:
    rank = placement().rank_of(Request(URL, priority=priority), 1)
    assert abs(rank[0]) < 2**63
    assert (rank[0] < 0) == (priority > 0)


def test_only_a_retry_is_delayed() -> None:
    row = Row(1, bytes(20), recorded=True)
    retry = Request(URL, meta={"retry_times": 1})
    assert placement().not_before(Request(URL), row) == 0
    assert placement().not_before(retry, None) == 0
    assert placement().not_before(retry, row) >= ManualClock().now + DELAY_SECONDS
