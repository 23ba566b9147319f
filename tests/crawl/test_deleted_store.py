"""The store is deleted in mid-crawl: what is said is true, and the next run doubles no feed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.kills import Kill, Live, at_feed_lines
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import Wanderings

PAGES = 16
ONE_AT_A_TIME = {"CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0.03}
BEFORE = '{"title": "before"}\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), pages=PAGES) as running:
        yield running


@pytest.fixture
def crawl(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def titles(crawl: Wanderings, name: str = "items.jsonl") -> Counter[str]:
    lines = (crawl.place.path / name).read_text().splitlines()
    return Counter(json.loads(line)["title"] for line in lines)


def has_written(crawl: Wanderings, live: Live) -> None:
    """Items of the job are in the feed, which also holds others."""
    feed = crawl.place.path / "items.jsonl"
    assert live.until(lambda: len(feed.read_text()) > len(BEFORE))


def deleted(crawl: Wanderings) -> Kill:
    def kill(live: Live) -> None:
        has_written(crawl, live)
        shutil.rmtree(crawl.place.store)

    return kill


def test_a_store_that_is_deleted_in_mid_crawl_doubles_no_feed(crawl: Wanderings) -> None:
    feed = crawl.place.path / "items.jsonl"
    feed.write_text(BEFORE)
    run = crawl.run(ONE_AT_A_TIME, "-o", feed.name, kill=deleted(crawl))
    assert run.exit_code == 1, run.tail()
    assert "was deleted or moved while the crawl was running" in run.text
    assert "begins a new job" in run.text
    assert "fetched again by the next run" not in run.text
    assert "to recover the job" not in run.text
    dead = titles(crawl) - Counter(["before"])
    assert dead
    run = crawl.run({}, "-o", feed.name)
    assert run.is_finished, run.tail()
    assert titles(crawl) == crawl.whole + Counter(["before"])
    assert titles(crawl, "items.deleted.jsonl") == dead
    assert "which was deleted from the store before it was completed" in run.text
    # What a completed job has written stays.
    assert crawl.run({}, "-o", feed.name).is_finished
    assert titles(crawl) == crawl.whole + crawl.whole + Counter(["before"])


def test_a_store_that_is_deleted_after_a_kill_doubles_no_feed(crawl: Wanderings) -> None:
    feed = crawl.place.path / "items.jsonl"
    feed.write_text(BEFORE)
    assert crawl.run(ONE_AT_A_TIME, "-o", feed.name, kill=at_feed_lines(feed, 4)).exit_code == -9
    shutil.rmtree(crawl.place.store)
    run = crawl.run({}, "-o", feed.name)
    assert run.is_finished, run.tail()
    assert titles(crawl) == crawl.whole + Counter(["before"])


def test_items_of_an_unfinished_job_that_the_store_has_stay(crawl: Wanderings) -> None:
    feed = crawl.place.path / "items.jsonl"
    feed.write_text(BEFORE)
    killed = crawl.run(ONE_AT_A_TIME, "-o", feed.name, kill=at_feed_lines(feed, 4))
    assert killed.exit_code == -9
    run = crawl.run({"RESUME_MODE": "fresh"}, "-o", feed.name)
    assert run.is_finished, run.tail()
    assert not (crawl.place.path / "items.deleted.jsonl").exists()
    assert titles(crawl) >= crawl.whole
