"""A worker that has all hosts gives some of them to one that joins."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet_oracles import Rules
from tests.support.hosts_graph import HostGraph

HOSTS = 8
SEVERAL = 3
SOON_SECONDS = 20

LIMIT = 2
DELAY_SECONDS = 0.25
SETTINGS: dict[str, Any] = {
    "CONCURRENT_REQUESTS": 8,
    "CONCURRENT_REQUESTS_PER_DOMAIN": LIMIT,
    "DOWNLOAD_DELAY": DELAY_SECONDS,
}


def test_joining_worker_is_soon_given_several_hosts(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(HOSTS, pages=320), settings=SETTINGS)
    [first] = fleet.start()
    fleet.wait_until(lambda: len({hit.host for hit in fleet.hits()}) == HOSTS, "page of each host")
    [second] = fleet.start()
    fleet.wait_until_joined([second])
    joined_at = time.monotonic()

    def has_several() -> bool:
        return len({hit.host for hit in fleet.site.hits_of(second.name)}) > SEVERAL

    has_at = fleet.wait_until(
        has_several, f"more than {SEVERAL} hosts of the second worker", SOON_SECONDS
    )
    print(f"more than {SEVERAL} hosts {has_at - joined_at:.1f} s after it joined")
    assert first.is_running, fleet.story()
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict(rules=Rules(LIMIT, DELAY_SECONDS))
    print(found)
    assert found.is_clean, f"{found}; {fleet.story()}"


@pytest.mark.soak
def test_hosts_that_rest_for_their_delay_leave_a_worker_room_for_others(
    new_fleet: NewFleet,
) -> None:
    """Plain Scrapy asks them all in turn, however few requests it may have at a time."""
    settings = {"CONCURRENT_REQUESTS": 2, "DOWNLOAD_DELAY": 2 * DELAY_SECONDS}
    fleet = new_fleet(HostGraph(HOSTS, pages=8 * HOSTS), settings=settings)
    fleet.start()
    fleet.expect_success()
    hits = sorted(fleet.hits(), key=lambda hit: hit.asked_at)
    assert len({hit.host for hit in hits[: len(hits) // 2]}) == HOSTS, fleet.story()
    # Scrapy waits half of a delay at least.
    assert fleet.verdict(rules=Rules(LIMIT, DELAY_SECONDS)).is_clean, fleet.story()
