"""Items of runtime shapes are what plain Scrapy exports; what cannot be stored is said."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from scrapy_resume.commands.status import verdict
from tests.support.kills import at_feed_lines
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

PAGES = 12


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), pages=PAGES, latency=0.01) as running:
        yield running


@pytest.fixture
def shapes(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "shapes.py", found.spider)
    return found


def lines(shapes: Wanderings, name: str) -> Counter[str]:
    text = (shapes.place.path / name).read_text()
    return Counter(json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines())


def test_items_of_any_shape_are_exported_as_plain_scrapy_does(shapes: Wanderings) -> None:
    assert shapes.run({"RESUME_ENABLED": False}, "-o", "plain.jsonl").exit_code == 0
    slow = {"CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0.1}
    feed = shapes.place.path / "items.jsonl"
    killed = shapes.run(slow, "-o", "items.jsonl", kill=at_feed_lines(feed, 4))
    assert killed.exit_code == -9, killed.tail()
    # What the killed process has written is lost: all of it is exported by one that restores it.
    feed.unlink()
    run = shapes.run(slow, "-o", "items.jsonl")
    assert run.is_finished, run.tail()
    assert lines(shapes, "items.jsonl") == lines(shapes, "plain.jsonl")
    assert verdict(shapes.job()) == 0


def ended(shapes: Wanderings, *arguments: str) -> Run:
    run = shapes.run({}, *arguments)
    assert shapes.job()["status"] == "completed", run.tail()
    return run


def test_an_item_that_cannot_be_stored_makes_the_exit_code_1(shapes: Wanderings) -> None:
    run = ended(shapes, "-a", "unstorable=yes")
    assert run.exit_code == 1, run.tail()
    lost = sum(number % 3 == 2 for number in range(PAGES))
    assert f"{lost} items could not be serialized" in run.text
    assert shapes.job()["items"]["failed"] == lost
    assert verdict(shapes.job()) == 3


def test_an_item_that_a_pipeline_has_lost_shows_in_the_check_alone(shapes: Wanderings) -> None:
    run = ended(shapes, "-a", "raises=yes")
    assert run.exit_code == 0, run.tail()
    assert shapes.job()["items"]["failed"] == 1
    assert verdict(shapes.job()) == 3
