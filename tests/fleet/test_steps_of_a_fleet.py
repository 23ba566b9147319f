"""Steps in a fleet: downloads are as polite as the crawl's, and limits hold over all workers."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from typing import Any

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import Fleet
from tests.support.fleet_oracles import Rules
from tests.support.hosts_graph import HostGraph, page_of

LIMIT = 2
DELAY_SECONDS = 0.05
SETTINGS: dict[str, Any] = {
    "CONCURRENT_REQUESTS_PER_DOMAIN": LIMIT,
    "DOWNLOAD_DELAY": DELAY_SECONDS,
}
PAGES = 48


def steps(name: str) -> dict[str, Any]:
    return {"RESUME_STEPS": json.dumps({f"tests.support.fleet_steps.{name}": 100})}


def fleet_with(
    new_fleet: NewFleet, step: str, hosts: int, *, pages: int = PAGES, **settings: Any
) -> Fleet:
    return new_fleet(
        HostGraph(hosts, pages=2 * pages + 1),
        settings={**SETTINGS, **steps(step), **settings},
        arguments={"follow": 0, "starts": pages},
    )


def items_of(fleet: Fleet) -> list[dict[str, Any]]:
    return list(fleet.store().items(fleet.job))


def test_a_step_downloads_through_the_worker_that_has_the_host(new_fleet: NewFleet) -> None:
    # More hosts than a worker takes at once: whoever comes first leaves some to the other.
    fleet = fleet_with(new_fleet, "details", 24)
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict(range(PAGES), rules=Rules(LIMIT, DELAY_SECONDS))
    assert found.is_clean, f"{found}; {fleet.story()}"
    items = items_of(fleet)
    assert {item["status"] for item in items} == {200}
    assert {page_of(item["details"]) for item in items} == {PAGES + 1 + n for n in range(PAGES)}
    asked = Counter(hit.page for hit in fleet.hits())
    assert asked == dict.fromkeys([*range(PAGES), *(PAGES + 1 + n for n in range(PAGES))], 1)
    by_worker = {hit.worker for hit in fleet.hits()}
    assert len(by_worker) == 2, fleet.story()


def fullest_window(fleet: Fleet, first_page: int, seconds: float) -> int:
    """How many downloads of steps the site's own log has in any window of that length."""
    moments = sorted(hit.asked_at for hit in fleet.hits() if hit.page >= first_page)
    return max(bisect_right(moments, first + seconds) - n for n, first in enumerate(moments))


def keeps_its_quota(fleet: Fleet, step: str, *, pages: int, limit: int, seconds: float) -> None:
    fleet.start_together(3)
    fleet.expect_success()
    fleet.expect_completed()
    asked = Counter(hit.page for hit in fleet.hits() if hit.page >= pages)
    assert asked == dict.fromkeys(range(pages, 2 * pages), 1)
    assert {item[step] for item in items_of(fleet)} == {200}
    fullest = fullest_window(fleet, pages, seconds)
    assert limit // 2 < fullest <= limit, f"{fullest} in {seconds} s; {fleet.story()}"


@pytest.mark.soak
def test_no_window_holds_more_downloads_than_the_rate_limit(new_fleet: NewFleet) -> None:
    fleet = fleet_with(new_fleet, "quota", 3, DOWNLOAD_DELAY=0)
    keeps_its_quota(fleet, "quota", pages=PAGES, limit=10, seconds=1.0)


@pytest.mark.soak
def test_a_quota_of_100_in_10_s_holds_over_three_workers(new_fleet: NewFleet) -> None:
    fleet = fleet_with(new_fleet, "hundred", 3, pages=350, DOWNLOAD_DELAY=0)
    keeps_its_quota(fleet, "hundred", pages=350, limit=100, seconds=10.0)
