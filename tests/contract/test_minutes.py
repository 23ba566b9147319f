"""What each minute brought, and what is counted without a counter."""

from __future__ import annotations

import time
from typing import Any

import pytest

from scrapy_resume.model import State

from .conftest import Place
from .records import BOOKS, Run, admission, finish


def admitted(run: Run, count: int) -> None:
    run.admit(*(admission(row, lease=True) for row in range(1, count + 1)))


def total(place: Place, name: str) -> int:
    return sum(minute[name] for minute in place.reader.minutes(BOOKS, 0.0))


def test_minutes_add_up_to_what_the_job_has(place: Place) -> None:
    before = time.time()
    run = place.begin()
    admitted(run, 5)
    run.commit(finishes=[finish(1, ["a", "b"])], pages=2)
    run.commit(finishes=[finish(2), finish(3, state=State.failed)], pages=4)
    run.commit(finishes=[finish(4, state=State.ignored)], pages=4)
    run.commit(pages=4)
    assert {name: total(place, name) for name in ("pages", "items", "done")} == {
        "pages": 4,
        "items": 2,
        "done": 2,
    }
    assert (total(place, "failed"), total(place, "ignored")) == (1, 1)
    minutes = place.reader.minutes(BOOKS, 0.0)
    assert minutes[-1]["open"] == 1
    assert all(minute["at"] % 60 == 0 for minute in minutes)
    assert before - 60 <= minutes[0]["at"] <= time.time() + 1


def test_runs_add_to_the_same_minutes(place: Place) -> None:
    run = place.begin()
    admitted(run, 3)
    run.commit(finishes=[finish(1)], pages=7)
    run.close()
    second = place.resume()
    for row in second.lease():
        second.commit(finishes=[finish(row.id)], pages=row.id)
    assert total(place, "pages") == 7 + 3
    assert total(place, "done") == 3


def test_a_minute_without_anything_has_no_row(place: Place) -> None:
    run = place.begin()
    admitted(run, 2)
    run.commit()
    assert place.reader.minutes(BOOKS, 0.0) == []
    run.commit(pages=1)
    (minute,) = place.reader.minutes(BOOKS, 0.0)
    assert (minute["pages"], minute["done"], minute["open"]) == (1, 0, 2)


def test_minutes_before_a_time_are_left_out(place: Place) -> None:
    run = place.begin()
    admitted(run, 1)
    run.commit(finishes=[finish(1)], pages=1)
    assert place.reader.minutes(BOOKS, time.time() - 3_600)
    assert place.reader.minutes(BOOKS, time.time() + 3_600) == []


def test_a_batch_that_is_sent_again_is_counted_once(place: Place) -> None:
    run = place.begin()
    admitted(run, 2)
    run.commit(finishes=[finish(1)], pages=1)
    run.commit(finishes=[finish(1)], pages=1)  # ended by now: nothing of it is new
    assert (total(place, "done"), total(place, "pages")) == (1, 1)


@pytest.fixture
def ended(place: Place) -> Place:
    """Ten requests: six done (200), three failed (503, in two ways), one open."""
    run = place.begin()
    admitted(run, 10)
    broken: dict[str, Any] = {"state": State.failed, "http_status": 503, "error": "HttpError"}
    run.finish(
        *(finish(row, http_status=200) for row in range(1, 7)),
        finish(7, **broken),
        finish(8, **broken),
        finish(9, state=State.failed, error="TimeoutError"),
    )
    return place


def test_requests_are_counted_by_status_and_host(ended: Place) -> None:
    assert ended.reader.statuses(BOOKS, bound=100) == [
        {"http_status": 200, "count": 6},
        {"http_status": 503, "count": 2},
    ]
    assert ended.reader.hosts(BOOKS, count=5, bound=100) == [
        {"host": "shop.example", "total": 10, "open": 1, "done": 6, "failed": 3}
    ]
    assert ended.reader.hosts(BOOKS, count=0, bound=100) == []


def test_of_very_many_the_last_ones_are_counted(ended: Place) -> None:
    assert ended.reader.statuses(BOOKS, bound=3) == [{"http_status": 503, "count": 1}]
    assert ended.reader.hosts(BOOKS, count=5, bound=3)[0]["total"] == 3
    groups = ended.reader.failures(BOOKS, examples=5, bound=2)
    assert [(group["error"], group["count"]) for group in groups] == [
        ("HttpError", 1),
        ("TimeoutError", 1),
    ]
    assert groups[0]["examples"] == ["http://shop.example/8"]
