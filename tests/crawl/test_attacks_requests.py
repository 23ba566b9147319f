"""Requests as few spiders make them: none is lost, and none holds up the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, crawl, job_store
from tests.support.site import Site

ATTACKS = {"SPIDER_MODULES": "kinds.attacks"}


@pytest.fixture
def attack(site: Site, place: Workplace, launcher: Launcher) -> Any:
    def run(spider: str, settings: Mapping[str, Any] | None = None, **how: Any) -> Run:
        given = {**ATTACKS, **(settings or {})}
        how = {"timeout_seconds": 20, "launcher": launcher, **how}
        return crawl(spider, site=site, place=place, settings=given, **how)

    return run


def status_of(place: Workplace) -> str:
    [job] = job_store(place).jobs()
    return str(job["status"])


def titles(place: Workplace, spider: str) -> Counter[str]:
    return Counter(item["title"] for item in job_store(place).items(spider))


def test_object_yielded_twice_is_fetched_twice(attack: Any, place: Workplace) -> None:
    run = attack("same_object")
    assert run.is_finished, run.tail()
    assert status_of(place) == "completed"
    expected = {"leaf first": 1, "Slow a": 2, "Slow b": 2}
    assert titles(place, "same_object") == expected


def test_object_returned_for_several_requests_continues_each(attack: Any, place: Workplace) -> None:
    run = attack("shared_request")
    assert run.is_finished, run.tail()
    assert status_of(place) == "completed"
    assert titles(place, "shared_request") == {"Slow login": 3}


def test_cancelled_wait_in_a_callback_fails_that_request_alone(
    attack: Any, place: Workplace
) -> None:
    run = attack("cancelled")
    assert run.is_finished, run.tail()
    assert status_of(place) == "completed"
    assert titles(place, "cancelled").total() == 5
    [failed] = job_store(place).requests("cancelled", state="failed")
    assert failed["error"] == "CancelledError"


def test_priority_of_any_size_is_stored(attack: Any, place: Workplace) -> None:
    run = attack("priorities")
    assert run.is_finished, run.tail()
    assert titles(place, "priorities").total() == 8


def test_host_whose_first_request_moved_away_is_crawled(attack: Any, place: Workplace) -> None:
    run = attack("moved_host")
    assert run.is_finished, run.tail()
    assert titles(place, "moved_host").total() == 4


def test_requests_of_response_handlers_belong_to_the_response(
    attack: Any, site: Site, place: Workplace
) -> None:
    assert attack("pings", kill=at_hits(35)).exit_code == -9
    run = attack("pings")
    assert run.is_finished, run.tail()
    pings = [item for item in job_store(place).items("pings") if "ping" in item]
    assert len(pings) == site.pages


def test_what_a_page_asks_for_without_a_filter_is_known_however_the_page_was_asked_for(
    attack: Any, place: Workplace
) -> None:
    settings = {"RESUME_JOB": "two_forms"}
    assert attack("two_forms", settings, kill=at_hits(8, 0.5)).killed_at is not None
    run = attack("two_forms", settings, args={"form": "method"})
    assert run.is_finished, run.tail()
    expected = {"Page 1": 1, "leaf shared": 2, "leaf own": 2, "Slow 1": 1}
    assert titles(place, "two_forms") == expected


@pytest.mark.parametrize("killed", [False, True])
def test_equal_items_of_start_ask_for_as_much_each_as_in_plain_scrapy(
    attack: Any, place: Workplace, killed: bool
) -> None:
    if killed:
        assert attack("equal_start_items", kill=at_hits(4, 0.2)).killed_at is not None
    run = attack("equal_start_items")
    assert run.is_finished, run.tail()
    items = Counter(item.get("title") for item in job_store(place).items("equal_start_items"))
    assert items == {None: 4, "Slow 1": 4}
