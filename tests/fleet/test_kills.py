"""Workers are killed, others go on, a new one joins."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import ORPHAN_SECONDS, SLOWLY, Fleet
from tests.support.fleet_oracles import Death, FleetVerdict, Rules
from tests.support.hosts_graph import HostGraph, Spread

WORKERS = 4
HOSTS = 20

SHORT_PAGES = 300
LONG_PAGES = 2_000
LONG_SEEDS = range(10)

ORPHANS_BACK_SECONDS = ORPHAN_SECONDS + 8
"""Until the first of a dead worker's pages is fetched again: the limit, the next look of those
alive, and its turn among the pages of its host."""

AS_SCRAPY: dict[str, Any] = {"CONCURRENT_REQUESTS": 16, "CONCURRENT_REQUESTS_PER_DOMAIN": 8}
POLITELY: dict[str, Any] = {**AS_SCRAPY, "DOWNLOAD_DELAY": 0.1}


def killed_at_random(fleet: Fleet, seed: int) -> list[Death]:
    """One or two kills of workers that fetch, at random moments; after the first one a new
    worker joins."""
    chance = random.Random(seed)
    pages = fleet.site.graph.pages
    moments = sorted(chance.randint(pages // 10, pages // 2) for _ in range(1 + seed % 2))
    fleet.start_together(WORKERS)
    deaths: list[Death] = []
    for moment in moments:
        fleet.wait_for_hits(moment)
        deaths.append(fleet.any_at_work(chance).kill())
        if len(deaths) == 1:
            fleet.start()
    return deaths


def judged(fleet: Fleet, seed: int, *, strictly: bool = False) -> FleetVerdict:
    """The verdict on a crawl that was killed at random and that the others brought to its end.

    ``strictly``: what was answered more than a second before a death was finished, as is so where
    commits are not held up by a busy machine.
    """
    deaths = killed_at_random(fleet, seed)
    if strictly:
        deaths = [replace(death, in_hand=0) for death in deaths]
    fleet.expect_success(seconds=240)
    fleet.expect_completed()
    rules = Rules(
        most_at_once=fleet.settings["CONCURRENT_REQUESTS_PER_DOMAIN"],
        delay_seconds=fleet.settings.get("DOWNLOAD_DELAY", 0),
    )
    found = fleet.verdict(deaths=deaths, rules=rules)
    print(f"seed {seed}: {found}")
    return found


def check(found: FleetVerdict, fleet: Fleet) -> None:
    assert found.is_clean, f"{found}; {fleet.story()}"
    for worker, seconds in found.back.items():
        late = [second for second in seconds[:1] if second > ORPHANS_BACK_SECONDS]
        assert not late, f"{worker}'s pages were back after {late} s; {fleet.story()}"


@pytest.mark.parametrize("seed", [1])
def test_killed_workers_cost_only_what_they_had_in_hand(seed: int, new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(HOSTS, SHORT_PAGES), settings=SLOWLY)
    check(judged(fleet, seed), fleet)


@pytest.mark.soak
def test_delay_of_a_host_holds_through_a_kill(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(HOSTS, SHORT_PAGES), settings=POLITELY)
    check(judged(fleet, seed=0), fleet)


@pytest.mark.soak
@pytest.mark.parametrize("seed", LONG_SEEDS)
@pytest.mark.parametrize("spread", ["even", "uneven"])
def test_two_thousand_pages_through_kills(seed: int, spread: Spread, new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(HOSTS, LONG_PAGES, spread), settings=AS_SCRAPY)
    check(judged(fleet, seed, strictly=True), fleet)


@pytest.mark.soak
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_delay_of_a_host_holds_through_kills(seed: int, new_fleet: NewFleet) -> None:
    fleet = new_fleet(HostGraph(HOSTS, LONG_PAGES), settings=POLITELY)
    check(judged(fleet, seed, strictly=True), fleet)
