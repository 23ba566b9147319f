"""Whose a request is, wherever it comes from. (What pages yield: ``tests/crash/test_units.py``.)"""

from __future__ import annotations

import shutil

import pytest

from scrapy_resume import open_store
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import JOB, Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "askers.py", found.spider)
    return found


def test_a_unit_is_inherited_named_anew_or_the_request_s_own(wanderings: Wanderings) -> None:
    run = wanderings.run({"ITEM_PIPELINES": '{"wandering.Asks": 1}', "RESUME_RETRY_DELAY": 0})
    assert run.is_finished, run.tail()
    units = {}
    for row in wanderings.requests():
        units[row["url"].rpartition("/")[2]] = row["unit"].removeprefix(wanderings.site.url)
    assert units == {
        "1": "named",
        "2": "other",
        "20": "named",
        "3": "named",
        "10": "/leaf/10",
        "100": "/leaf/10",
        "11": "idle",
        "110": "idle",
    }
    found = {row["unit"]: row for row in open_store(wanderings.place.location).units(JOB)}
    assert {unit: row["done"] for unit, row in found.items()} == {
        "named": 4,  # the retry that the callback yields is a request of its own
        "other": 1,
        f"{wanderings.site.url}/leaf/10": 2,
        "idle": 2,
    }
    assert found["named"]["items"] == 1, "the item of start() is no unit's"


def test_a_chain_shows_where_it_stands(wanderings: Wanderings) -> None:
    shutil.copy(REPO / "tests" / "support" / "chain.py", wanderings.spider)
    for stop in (5, 8):
        wanderings.run({"CLOSESPIDER_PAGECOUNT": stop, "CONCURRENT_REQUESTS": 1})
        (unit,) = open_store(wanderings.place.location).units(JOB)
        done = wanderings.requests(state="done")
        assert unit["state"] == "in_progress"
        assert unit["cursor"] == done[-1]["url"]
        assert unit["done"] == len(done)
