"""Requests for one URL that something else tells apart are themselves in each run."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

OLD = "abcdefghij"
GROWN = "ponm" + OLD
ONE_BY_ONE = {"CONCURRENT_REQUESTS": 1, "RESUME_COMMIT_INTERVAL": 0.01}
COMES_BACK = "start() has yielded"


@pytest.fixture
def told(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "told_apart.py", found.spider)
    return found


def names(told: Wanderings, text: str) -> None:
    (told.place.path / "names.txt").write_text(" ".join(text))


@pytest.mark.parametrize("how", ["cb_kwargs", "meta", "cookiejar", "callback", "lambda"])
def test_a_start_list_that_grows_in_another_order_is_fetched_once(
    told: Wanderings, how: str
) -> None:
    words = ("-a", f"how={how}")
    names(told, OLD)
    assert told.run(ONE_BY_ONE, *words, kill=at_hits(4)).killed_at is not None
    names(told, GROWN)
    assert told.run(ONE_BY_ONE, *words, kill=at_hits(5)).killed_at is not None
    last = told.run(ONE_BY_ONE, *words)
    assert last.is_finished, last.tail()
    assert told.titles() == Counter(GROWN)
    assert COMES_BACK not in last.text


@pytest.mark.parametrize("how", ["cb_kwargs", "meta", "callback"])
def test_a_callback_that_is_replayed_in_another_order_yields_nothing_twice(
    told: Wanderings, how: str
) -> None:
    words = ("-a", f"how={how}", "-a", "below=1")
    names(told, OLD)
    assert told.run(ONE_BY_ONE, *words, kill=at_hits(4)).killed_at is not None
    names(told, GROWN)
    assert told.run(ONE_BY_ONE, *words, kill=at_hits(6)).killed_at is not None
    (told.place.path / "go").touch()
    last = told.run(ONE_BY_ONE, *words)
    assert last.is_finished, last.tail()
    assert told.titles() == Counter(GROWN)


def test_a_list_with_a_value_of_its_own_in_each_run_is_named(told: Wanderings) -> None:
    words = ("-a", "how=time")
    names(told, OLD)
    first = told.run({**ONE_BY_ONE, "CLOSESPIDER_PAGECOUNT": 4}, *words)
    assert COMES_BACK not in first.text
    again = told.run(ONE_BY_ONE, *words)
    assert again.is_finished
    assert again.text.count(f"{COMES_BACK} 10 requests") == 1, again.tail()
    assert "what differs is cb_kwargs['at']. They" in again.text
    assert 'meta["resume_key"]' in again.text


def test_resume_key_names_the_identity_in_place_of_such_values(told: Wanderings) -> None:
    words = ("-a", "how=key")
    names(told, OLD)
    assert told.run(ONE_BY_ONE, *words, kill=at_hits(4)).killed_at is not None
    names(told, GROWN)
    last = told.run(ONE_BY_ONE, *words)
    assert last.is_finished, last.tail()
    assert told.titles() == Counter(GROWN)
    assert COMES_BACK not in last.text
