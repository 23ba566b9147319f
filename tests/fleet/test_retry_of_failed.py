"""A job completes with failures; the site is mended; what failed is retried by a filter."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.steering import retry
from tests.fleet.test_breaker import One, expect_whole, one
from tests.support.hosts_graph import HostGraph

__all__ = ["one"]

pytestmark = pytest.mark.sqlite

GRAPH = HostGraph(hosts=5, pages=80)
HOST = GRAPH.host_names[2]
FILTERS: list[dict[str, Any]] = [
    {"host": HOST},
    {"state": "failed", "url": f"http://{HOST}:*"},
    {"status": 503},
    {"error": "HttpError"},
    {"state": "failed", "callback": "parse"},
    {"max_attempts": 2},
]


@pytest.mark.parametrize(
    "filters",
    [FILTERS[0], *(pytest.param(case, marks=pytest.mark.soak) for case in FILTERS[1:])],
    ids=lambda filters: "-".join(filters),
)
def test_the_items_are_those_of_a_crawl_in_which_nothing_failed(
    one: One, filters: dict[str, Any]
) -> None:
    fleet = one(GRAPH, RESUME_BREAKER_FAILURES=0, RETRY_TIMES=1)
    fleet.site.fail(HOST)
    fleet.start()
    fleet.expect_success()
    fleet.expect_completed()
    failed = {row["url"] for row in fleet.store().requests(fleet.job, state="failed")}
    assert failed
    fleet.site.mend(HOST)
    listed = fleet.store().requests(fleet.job, **{"state": "failed", **filters})
    assert {row["url"] for row in listed} == failed
    asked = len(fleet.hits())
    assert retry(fleet.url, fleet.job, **filters) == len(failed)
    pending = {row["url"] for row in fleet.store().requests(fleet.job, state="pending")}
    assert pending == failed
    fleet.start()
    fleet.expect_success()
    expect_whole(fleet)
    again = [hit.page for hit in fleet.hits()[asked:]]
    assert len(again) == len(set(again)), "a page was fetched twice"
    assert fleet.status()["requests"]["failed"] == 0
