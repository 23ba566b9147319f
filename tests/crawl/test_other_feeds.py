"""A feed of earlier runs that a later run does not write: what it lacks is told."""

from __future__ import annotations

import pytest

from scrapy_resume.steering import retry
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings

TOLD = "of this run, and lack"


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


@pytest.mark.parametrize("more", [(), ("-o", "other.csv")])
def test_a_feed_that_is_left_out_when_items_change_is_named(
    wanderings: Wanderings, more: tuple[str, ...]
) -> None:
    first = wanderings.run({}, "-o", "items.jsonl", "-o", "sqlite:///shop.db#items:sql")
    assert first.is_finished, first.tail()
    assert TOLD not in first.text
    assert retry(wanderings.place.location, JOB, state="done", limit=2) == 2
    second = wanderings.run({}, *more)
    assert second.is_finished, second.tail()
    (line,) = [line for line in second.text.splitlines() if TOLD in line]
    assert "items.jsonl, sqlite:///shop.db#items are no feeds of this run" in line
    assert f"scrapy resume export {JOB}#1 -o FILE" in line


def test_a_feed_that_is_left_out_when_nothing_changes_lacks_nothing(
    wanderings: Wanderings,
) -> None:
    stopped = wanderings.run({"CLOSESPIDER_PAGECOUNT": 5}, "-o", "items.jsonl")
    assert stopped.exit_code == 0, stopped.tail()
    whole = wanderings.run({}, "-o", "items.jsonl")
    assert whole.is_finished, whole.tail()
    assert TOLD not in whole.text
    assert retry(wanderings.place.location, JOB, state="failed") == 0
    again = wanderings.run({"RESUME_MODE": "once"})
    assert TOLD not in again.text
