"""Requests that wait for the end of the callback that yields them, without a crawl."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from scrapy import Request, Spider
from scrapy.utils.request import fingerprint

from scrapy_resume.codec import Codec
from scrapy_resume.frontier.delta import ALWAYS_FETCHED
from scrapy_resume.frontier.dupefilter import DupeFilter
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import START
from scrapy_resume.tracking.admission import Admissions
from scrapy_resume.tracking.sharing import Sharing
from scrapy_resume.tracking.withheld import EXTENSIONS, WITHHELD_SECONDS, Arrival, Withheld
from tests.support.clock import ManualClock


class Shop(Spider):
    name = "shop"

    def parse(self, response: Any, **kwargs: Any) -> None: ...


class Place:
    """Withheld requests, and which of them were admitted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.admitted: list[str] = []
        codec = Codec(Shop())
        self.withheld = Withheld(
            self,
            Sharing(1, codec, Shop(), fleet=False),
            codec,
            SimpleNamespace(one_batch=nullcontext),  # type: ignore[arg-type]
            MagicMock(),
            self.clock,
        )

    def record(self, arrival: Arrival, payload: str) -> int:
        self.admitted.append(arrival.request.url[-1])
        return len(self.admitted)

    def run_from_memory(self, arrival: Arrival, plan: Any = None) -> None:
        raise AssertionError(arrival)

    def yields(self, parent: Row, name: str, value: Any) -> None:
        request = Request(f"http://a.test/{name}", cb_kwargs={"item": value})
        self.withheld.add(
            Arrival(request, parent, b"", b"i", [b""], every_run=False, skippable=False), parent
        )

    def passes(self, seconds: float) -> None:
        """Time passes; timers that are due by then are called in their order."""
        until = self.clock.now + seconds
        while due := [timer for timer in self.clock.timers if timer.due <= until]:
            first = min(due, key=lambda timer: timer.due)
            self.clock.timers.remove(first)
            self.clock.now = max(self.clock.now, first.due)
            first.call()
        self.clock.now = until


@pytest.fixture
def place() -> Place:
    return Place()


def callback() -> Row:
    row = Row(7, b"p" * 20, recorded=True)
    row.in_engine = True
    return row


def test_a_callback_that_awaits_what_its_requests_lead_to_waits_half_a_second(
    place: Place,
) -> None:
    parent, item = callback(), {"n": 0}
    for name in "abc":
        place.yields(parent, name, item)
    place.passes(WITHHELD_SECONDS + 0.01)
    assert place.admitted == ["a", "b", "c"]


def test_what_a_callback_goes_on_sharing_is_admitted_together(place: Place) -> None:
    parent, item = callback(), {"n": 0}
    for name in "abcd":
        place.yields(parent, name, item)
        place.passes(0.7 * WITHHELD_SECONDS)
    assert not place.admitted
    place.passes(WITHHELD_SECONDS)
    assert place.admitted == ["a", "b", "c", "d"]


def test_start_may_be_slower(place: Place) -> None:
    parent, item = Row(START, b"s" * 20, recorded=True), {"n": 0}
    place.yields(parent, "a", item)
    place.yields(parent, "b", item)
    place.passes(3 * WITHHELD_SECONDS)
    place.yields(parent, "c", item)
    assert not place.admitted
    place.passes((EXTENSIONS + 1) * WITHHELD_SECONDS)
    assert place.admitted == ["a", "b", "c"]


def test_a_delta_crawl_fetches_what_must_not_be_skipped_though_a_skippable_one_waits() -> None:
    codec, spider = Codec(Shop()), Shop()
    order: Any = SimpleNamespace(dedupe=True)
    admissions = Admissions(
        MagicMock(),
        codec,
        DupeFilter(1, order, fingerprint),
        MagicMock(),
        MagicMock(),
        MagicMock(),
        MagicMock(),
        Sharing(1, codec, spider, fleet=False),
        ManualClock(),
        delta=True,
    )
    admissions.record = MagicMock(return_value=1)  # type: ignore[method-assign]
    parent = callback()
    own = {"cb_kwargs": {"tags": ["a"]}}
    url = "http://a.test/book"
    assert admissions.admit(Request(url, **own), parent)
    assert not admissions.admit(Request(url, **own), parent)
    assert admissions.admit(Request(url, **own, meta={ALWAYS_FETCHED: False}), parent)
    assert [arrival.skippable for arrival in parent.withheld] == [True, False]
