"""A feed holds what a retry has changed: what failed is added, what was parsed again replaced."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from scrapy_resume.steering import retry
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    return found


def titles(feed: Path) -> Counter[str]:
    text = feed.read_text()
    rows = json.loads(text) if feed.suffix == ".json" else map(json.loads, text.splitlines())
    return Counter(row["title"] for row in rows)


@pytest.mark.parametrize("option", ["-O", "-o"])
@pytest.mark.parametrize("name", ["out.jsonl", "out.json"])
def test_the_feed_of_a_completed_job_goes_on_after_a_retry(
    wanderings: Wanderings, option: str, name: str
) -> None:
    feed = wanderings.place.path / name
    settings = {"RETRY_TIMES": 1, "RESUME_RETRY_DELAY": 0.05}
    paths = "paths=/flaky/1?times=2,/leaf/1,/leaf/2"
    words = ("-a", paths, option, str(feed))
    assert wanderings.run(settings, *words).is_finished
    assert titles(feed) == {"leaf 1": 1, "leaf 2": 1}
    assert retry(wanderings.place.location, status=503) == 1
    assert retry(wanderings.place.location, state="done", url="*/leaf/2") == 1
    wanderings.replace_in_spider(
        'yield {"title": response.css("title::text").get()}',
        'yield {"title": response.css("title::text").get().upper()}',
    )
    run = wanderings.run(settings, *words)
    assert run.is_finished, run.tail()
    assert wanderings.titles() == {"leaf 1": 1, "LEAF 2": 1, "FLAKY 1": 1}
    assert titles(feed) == {"leaf 1": 1, "LEAF 2": 1, "FLAKY 1": 1}, run.tail()
