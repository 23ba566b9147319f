"""Selections with several values, by files of names and by what items lack, on every store."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.model import Selection, State, UnitSelection, UnitState
from scrapy_resume.reporting.filters import selection
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.steering import to_park, to_retry

from .conftest import Place
from .records import BOOKS, admission, finish

ITEM = '{"$item":"shop.items:Car","fields":{"vin":"1","photos":{"$tuple":[]}}}'


@pytest.fixture
def full(place: Place) -> Place:
    """Seven requests of two units, that ended in several ways."""
    run = place.begin()
    cities = {"lease": True, "unit": "cities"}
    run.admit(
        admission(1, url="http://a.example/1?b=2&a=1", **cities),
        admission(2, url="http://b.example/2#top", **cities),
        admission(3, url="http://c.example/3", lease=True, unit="towns"),
        admission(4, url="http://a.example/4", lease=True, unit="town_s"),
        admission(5, url="http://a.example/5", unit="towns"),
        admission(6, url="http://a.example/6", lease=True, every_run=True, unit="towns"),
    )
    failed: dict[str, Any] = {"state": State.failed}
    where = {"url": "http://a.example/7", "unit": "towns"}
    unrecorded = admission(7, payload=UNRECORDED, **where)
    run.commit(
        finishes=[
            finish(1, [ITEM, '{"vin":"2","photos":["a"]}'], http_status=200),
            finish(2, ['{"vin":""}'], http_status=200),
            finish(3, http_status=500, error="HttpError", **failed),
            finish(4, http_status=503, error="HttpError", **failed),
            finish(6, error="ValueError", **failed),
            finish(7, tombstone=unrecorded, **failed),
        ]
    )
    run.close("paused", "shutdown")
    return place


def listed(place: Place, chosen: Selection) -> list[int]:
    rows = place.reader.requests(BOOKS, chosen)
    return [int(row["url"].split("example/")[1][0]) for row in rows]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": ["A.example", "c.example"]}, [1, 3, 4, 5, 6, 7]),
        ({"status": [500, 503]}, [3, 4]),
        ({"status": [200, 503], "url": ["*/2*", "*/4"]}, [2, 4]),
        ({"error": ["ValueError", "HttpError"], "state": "failed"}, [3, 4, 6]),
        ({"unit": "t*"}, [3, 4, 5, 6, 7]),
        ({"unit": ["town_s", "c?ties"]}, [1, 2, 4]),
        ({"units": ["town_s", "nowhere"]}, [4]),
        ({"units": []}, []),
        ({"urls": ["http://b.example/2", "http://c.example/3#x"]}, [2, 3]),
        ({"urls": []}, []),
        ({"missing": "photos"}, [1, 2]),
        ({"missing": "vin"}, [2]),
        ({"missing": ["colour"]}, [1, 2]),
        ({"state": "failed", "changeable": True}, [3, 4]),
        ({"limit": 2}, [1, 2]),
        ({"url": "*' OR '1'='1", "unit": "\\"}, []),
    ],
)
def test_either_value_of_a_filter_holds(
    full: Place, fields: dict[str, Any], expected: list[int]
) -> None:
    assert listed(full, selection(**fields)) == expected


def test_a_url_is_found_by_its_identity_whatever_the_order_of_its_parameters(place: Place) -> None:
    named = selection(urls=["http://a.example/?a=1&b=2"])
    run = place.begin()
    run.admit(
        admission(1, identity=bytes.fromhex(named.identities[0]), url="http://a.example/?b=2&a=1")
    )
    found = list(place.reader.requests(BOOKS, named))
    assert [row["url"] for row in found] == ["http://a.example/?b=2&a=1"]
    assert place.reader.known_urls(BOOKS, named) == (set(), set(named.identities))
    assert place.reader.known_urls(BOOKS, selection(urls=["http://a.example/0"])) == (set(), set())
    assert place.store.steer(BOOKS, to_park(named), State.parked, dry_run=True) == 1


def test_at_most_so_many_are_changed_those_that_were_found_first(full: Place) -> None:
    chosen = to_retry(selection(limit=1))
    assert full.store.steer(BOOKS, chosen, State.pending, dry_run=True) == 1
    assert full.store.steer(BOOKS, chosen, State.pending) == 1
    assert listed(full, Selection((State.pending,))) == [3, 5]
    assert full.store.steer(BOOKS, to_retry(selection(limit=0)), State.pending) == 0


def test_requests_are_counted_by_state(full: Place) -> None:
    assert full.reader.count_by_state(BOOKS, selection(host="a.example")) == {
        "done": 1,
        "failed": 3,
        "pending": 1,
    }


def test_items_with_their_pages(full: Place) -> None:
    def payloads(**filters: Any) -> list[str]:
        return [row["payload"] for row in full.reader.item_records(BOOKS, selection(**filters))]

    first, *_ = full.reader.item_records(BOOKS)
    assert (first["payload"], first["unit"]) == (ITEM, "cities")
    assert first["url"] == "http://a.example/1?b=2&a=1"
    assert len(payloads()) == 3
    assert payloads(missing="photos") == [ITEM, '{"vin":""}']
    assert payloads(missing="photos", limit=1) == [ITEM]
    assert payloads(unit="cit*", url="*b.example*") == ['{"vin":""}']
    assert payloads(state="failed") == []


def test_units_that_are_selected(full: Place) -> None:
    def names(**fields: Any) -> list[str]:
        return [unit["unit"] for unit in full.reader.units(BOOKS, UnitSelection(**fields))]

    assert names(unit=("town?s", "x")) == ["town_s"]
    assert names(units=("cities", "x")) == ["cities"]
    assert names(states=(UnitState.failed, UnitState.completed)) == ["town_s", "cities"]
    assert names(error=("HttpError",), unit=("*_*",)) == ["town_s"]
