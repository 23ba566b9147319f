"""One feed, many workers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from scrapy_resume.feeds.committed_items import PORTION
from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY, Fleet
from tests.support.hosts_graph import HostGraph

FEED = "items.jsonl"


def pages_in(feed: Path) -> Counter[int]:
    return Counter(json.loads(line)["n"] for line in feed.read_text().splitlines())


def check(fleet: Fleet) -> None:
    feed = fleet.folder / FEED
    assert feed.exists(), f"no feed; {fleet.story()}"
    expected, found = Counter(range(fleet.site.graph.pages)), pages_in(feed)
    lost, twice = expected - found, found - expected
    assert not lost, f"the feed lacks {sorted(lost)[:10]}; {fleet.story()}"
    assert not twice, f"the feed has twice {sorted(twice)[:10]}; {fleet.story()}"


@pytest.mark.soak
def test_feed_of_a_fleet_holds_every_item_once(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=200), settings=SLOWLY, words=["-O", FEED])
    fleet.start_together(3)
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet)


@pytest.mark.soak
def test_feed_of_more_items_than_are_read_at_once_is_whole(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=4, pages=2 * PORTION + 20), words=["-O", FEED])
    fleet.start()
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet)


def test_feed_of_a_fleet_is_whole_though_a_worker_was_killed(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=200), settings=SLOWLY, words=["-O", FEED])
    first, *_ = fleet.start_together(3)
    fleet.wait_for_hits(80)
    first.kill()
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet)
