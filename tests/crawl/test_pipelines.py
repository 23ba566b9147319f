"""What pipelines do elsewhere can be made idempotent, and what they drop is counted once."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_resume import item_key, open_store
from tests.support.kills import Kill, Live, at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

PAGES = 24
SLOW = "Page 4a"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), pages=PAGES, latency=0.01) as running:
        yield running


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "keyed.py", found.spider)
    return found


def keys_file(wanderings: Wanderings) -> Path:
    return wanderings.place.path / "keys.jsonl"


def told(wanderings: Wanderings) -> list[tuple[str, str]]:
    """(key, title) for each time that an item went into the pipeline."""
    lines = keys_file(wanderings).read_text().splitlines()
    return [(key, title) for key, title in map(json.loads, lines)]


def hurry(wanderings: Wanderings) -> None:
    """From here on the pipeline is quick for all items."""
    (wanderings.place.path / "hurry").touch()


def in_the_slow_pipeline(wanderings: Wanderings) -> Kill:
    """SIGKILL when the pipeline has written the slow item down and is not through with it."""

    def kill(live: Live) -> float | None:
        file = keys_file(wanderings)
        assert live.until(lambda: file.exists() and SLOW in file.read_text())
        return live.send(signal.SIGKILL)

    return kill


def expected_titles() -> set[str]:
    halves = {f"Page {n}a" for n in range(PAGES) if n % 3} | {
        f"Page {n}b" for n in range(PAGES) if n % 5
    }
    details = {f"leaf {n}" for n in range(0, PAGES, 7)}
    return halves | details | {"Seed 1001", "Seed 1002"}


def test_an_item_has_one_key_however_often_its_page_is_fetched(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=in_the_slow_pipeline(wanderings)).killed_at is not None
    hurry(wanderings)
    assert wanderings.run(kill=at_hits(8)).killed_at is not None
    assert wanderings.run().is_finished
    pairs = told(wanderings)
    assert [title for _, title in pairs].count(SLOW) >= 2, "it was in the pipeline and not stored"
    distinct = set(pairs)
    assert len({title for _, title in distinct}) == len(distinct), "a title with two keys"
    assert len({key for key, _ in distinct}) == len(distinct), "a key with two titles"
    assert all(len(key) == 40 and int(key, 16) >= 0 for key, _ in distinct)
    assert {title for _, title in distinct} >= expected_titles()
    assert wanderings.job()["requests"]["failed"] == 0, "an assertion of the spider"


def test_the_key_is_the_one_that_the_stored_item_was_given(wanderings: Wanderings) -> None:
    hurry(wanderings)
    assert wanderings.run(kill=at_hits(8)).killed_at is not None
    assert wanderings.run().is_finished
    keys = {title: key for key, title in told(wanderings)}
    items = list(open_store(wanderings.place.location).items())
    assert items
    assert all(item["key"] == keys[item["title"]] for item in items)


def test_another_job_gives_other_keys(wanderings: Wanderings) -> None:
    hurry(wanderings)
    assert wanderings.run({"CLOSESPIDER_PAGECOUNT": 3}).exit_code == 0
    first = dict(told(wanderings))
    keys_file(wanderings).unlink()
    assert wanderings.run({"CLOSESPIDER_PAGECOUNT": 3, "RESUME_MODE": "fresh"}).exit_code == 0
    assert first
    assert not first.keys() & dict(told(wanderings)).keys()


def test_outside_of_a_pipeline_there_is_no_key() -> None:
    assert item_key({"title": "anything"}) is None


def test_items_dropped_and_failed_are_counted_once_over_kills(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=in_the_slow_pipeline(wanderings)).killed_at is not None
    hurry(wanderings)
    assert wanderings.run(kill=at_hits(8)).killed_at is not None
    last = wanderings.run()
    assert last.is_finished
    dropped = len(range(0, PAGES, 3))
    failed = len(range(0, PAGES, 5))
    stored = len(expected_titles())
    assert wanderings.job()["items"] == {"stored": stored, "dropped": dropped, "failed": failed}
    assert f"'resume/total/items_dropped': {dropped}" in last.text
    assert f"'resume/total/items_failed': {failed}" in last.text


def test_requests_of_a_slow_pipeline_are_not_lost_and_not_doubled(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=in_the_slow_pipeline(wanderings)).killed_at is not None
    hurry(wanderings)
    assert wanderings.run(kill=at_hits(12)).killed_at is not None
    assert wanderings.run().is_finished
    assert wanderings.titles() == dict.fromkeys(expected_titles(), 1)
