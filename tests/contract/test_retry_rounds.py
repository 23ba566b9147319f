"""Rounds of retry are counted by request and by day, on every store."""

from __future__ import annotations

from typing import Any

from scrapy_resume.model import State
from scrapy_resume.reporting.filters import selection
from scrapy_resume.store.transaction.steering import to_retry

from .conftest import Place
from .records import BOOKS, admission, finish

FAILED: dict[str, Any] = {"state": State.failed, "error": "HttpError"}


def retry(place: Place, **filters: Any) -> int:
    return place.store.steer(BOOKS, to_retry(selection(**filters)), State.pending)


def crawl(place: Place, attempts: int, **outcome: Any) -> None:
    run = place.resume()
    [row] = run.lease(1)
    run.finish(finish(row.id, attempts=attempts, **outcome))
    run.close("paused", "shutdown")


def test_rounds_count_since_it_was_done_last(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, attempts=1, **FAILED))
    run.close("paused", "shutdown")
    for attempts in (2, 3):
        assert retry(place, rounds=2) == 1
        crawl(place, attempts, **FAILED)
    assert retry(place, rounds=2) == 0
    assert retry(place, rounds=3) == 1
    crawl(place, 4, **FAILED)
    assert retry(place, dead=True, rounds=2) == 1
    crawl(place, 5)
    assert retry(place, state="done", rounds=2) == 1
    crawl(place, 6, **FAILED)
    assert retry(place, rounds=2) == 1, "it has failed once since"
    [day] = place.reader.history(BOOKS)
    assert (day["rounds"], day["retried"], day["attempts"]) == (6, 6, 6)
    assert (day["done"], day["failed"]) == (1, 5)
    assert place.store.verify(BOOKS).violations == []
