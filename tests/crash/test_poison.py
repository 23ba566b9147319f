"""A page that ends the process is found and parked; a slow one is not."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.support.fixtures import Truths
from tests.support.kills import Live
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import (
    Run,
    Workplace,
    crawl,
    crawl_through,
    job_store,
    recorded_items,
    stored_items,
)
from tests.support.site import Hit, Site

POISON_EXIT_CODE = 66
"""As in ``kinds.spiders.crash``."""

POISON = "/leaf/poison"
SLOW = "/slow/1?seconds=2"
CRASH_LIMIT = 3
CRASHES = CRASH_LIMIT + 1
TEN = 10
PAGES_BEFORE_KILL = 4


def expected_without_poison(site: Site, place: Workplace, launcher: Launcher) -> Counter[str]:
    """The items of a plain run in which the page does no harm, less the page's own."""
    run = crawl(
        "poison", site=site, place=place, plain=True, args={"harmless": "1"}, launcher=launcher
    )
    assert run.is_finished, run.tail()
    items = recorded_items(place)
    [poisoned] = [item for item in items if POISON in item]
    del items[poisoned]
    return items


def asked_within(hits: list[Hit], run: Run) -> list[Hit]:
    return [hit for hit in hits if run.started_at <= hit.asked_at <= run.ended_at]


@pytest.mark.sqlite("a server learns of the first crash too late to count it")
def test_page_that_ends_the_process_runs_alone_and_is_parked(
    site: Site, place: Workplace, launcher: Launcher
) -> None:
    expected = expected_without_poison(site, Workplace(place.path / "plain"), launcher)
    log = site.begin(place.path / "poison.jsonl")
    crashes = [crawl("poison", site=site, place=place, launcher=launcher) for _ in range(CRASHES)]
    assert [run.exit_code for run in crashes] == [POISON_EXIT_CODE] * len(crashes), crashes[
        -1
    ].tail()
    alone = [hit for hit in log.hits() if hit.url == POISON][-1]
    others = [hit for hit in log.hits() if hit.url != POISON]
    in_flight = [hit.url for hit in others if hit.was_in_flight(alone.asked_at)]
    later = [hit.url for hit in asked_within(others, crashes[-1]) if hit.number > alone.number]
    assert not in_flight, "other pages were in flight beside the suspect"
    assert not later, "other pages were asked for while the suspect ran"

    crawl_through("poison", [], site=site, place=place, launcher=launcher)
    asked = [hit for hit in log.hits() if hit.url == POISON]
    assert len(asked) == CRASHES, "the parked page was fetched again"
    parked = list(job_store(place).requests("poison", state="parked"))
    assert [row["url"] for row in parked] == [site.url + POISON]
    difference = compare(expected, stored_items(place, "poison"))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)


def beside_slow_page(live: Live) -> float | None:
    """A SIGKILL while the slow page is in flight and others are as well.

    In a run that holds the slow page back, some pages after its start; while the slow
    page runs alone there is no kill: a death then would be its own.
    """
    seen = 0

    def is_time() -> bool:
        nonlocal seen
        if live.hits() == seen:
            return False
        seen = live.hits()
        fresh = live.hit_log.hits()[live.hits_before :]
        slow = [hit for hit in fresh if hit.url == SLOW]
        later = [hit for hit in fresh if not slow or hit.number > slow[0].number]
        return len(later) >= (2 if slow else PAGES_BEFORE_KILL)

    return live.send(signal.SIGKILL) if live.until(is_time) else None


@pytest.mark.soak
def test_slow_page_in_flight_in_ten_kills_is_not_parked(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher
) -> None:
    expected = truths("slow").items
    kills = [beside_slow_page] * TEN
    runs = crawl_through("slow", kills, site=site, place=place, launcher=launcher)
    assert len(runs) == TEN + 1, "some kills did not find the crawl under way"
    slow = [hit for hit in site.hits() if hit.url == SLOW]
    assert len(slow) > CRASH_LIMIT, "the slow page was hardly ever in flight"
    assert not list(job_store(place).requests("slow", state="parked"))
    difference = compare(expected, stored_items(place, "slow"))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)


def test_page_that_ends_the_process_is_parked_in_the_end(
    site: Site, place: Workplace, launcher: Launcher
) -> None:
    """On a server too, which learns of what was in flight a little late."""
    expected = expected_without_poison(site, Workplace(place.path / "plain"), launcher)
    site.begin(place.path / "poison.jsonl")
    codes = [POISON_EXIT_CODE]
    while codes[-1] == POISON_EXIT_CODE and len(codes) <= CRASHES + 3:
        codes.append(crawl("poison", site=site, place=place, launcher=launcher).exit_code)
    assert codes[-1] == 0, codes
    parked = list(job_store(place).requests("poison", state="parked"))
    assert [row["url"] for row in parked] == [site.url + POISON]
    difference = compare(expected, stored_items(place, "poison"))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)
