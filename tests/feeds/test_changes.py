"""Items that are taken back or replaced after a feed has had them."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from tests.support.stores import location

from .conftest import NewCrawl
from .runs import GZIP, Crawl, at_random, retry

OPTIONS: dict[str, dict[str, object]] = {
    "jsonlines": {"format": "jsonlines"},
    "json": {"format": "json", "indent": 1},
    "csv": {"format": "csv"},
    "gzip": {"format": "jsonlines", "postprocessing": [GZIP]},
}


@pytest.mark.parametrize(
    ("killed", "name"),
    [
        (False, "jsonlines"),
        (False, "csv"),
        (True, "json"),
        (True, "gzip"),
        *(pytest.param(False, name, marks=pytest.mark.soak) for name in ("json", "gzip")),
        *(pytest.param(True, name, marks=pytest.mark.soak) for name in ("jsonlines", "csv")),
    ],
)
def test_items_of_a_failed_execution_leave_the_feed_when_the_request_is_retried(
    new_crawl: NewCrawl, name: str, killed: bool
) -> None:
    options = OPTIONS[name]
    how = {"feed": "out/items", "options": options, "variables": {"FEEDING_FAIL": "7"}}
    plain, crawl = new_crawl("plain", **how), new_crawl(**how)
    plain.run(plain=True)
    crawl.run()
    assert crawl.items() == plain.items()
    retry(crawl)
    crawl.variables = {}
    if killed:
        crawl.run_killed(lambda live: (live.logged("written again"), live.send()))
    log = crawl.run_to_the_end()
    assert crawl.items() == plain.items()
    assert killed or "postprocessing" in options or "is written again from the store" in log


def test_a_batch_with_items_that_were_taken_back_is_written_again_before_it_is_full(
    new_crawl: NewCrawl,
) -> None:
    how = {"arguments": {"pages": 20}, "settings": {"CONCURRENT_REQUESTS": 1}}
    plain = new_crawl("plain", **how)
    plain.run(plain=True)
    crawl = new_crawl(feed="out/%(batch_id)02d.jsonl", variables={"FEEDING_FAIL": "19"}, **how)
    # The last batch lacks one item to be full; three of those that it has are taken back.
    crawl.options = {"format": "jsonlines", "batch_item_count": 61}
    crawl.run()
    retry(crawl)
    crawl.variables = {}
    crawl.run_to_the_end()
    assert [path.name for path in (crawl.folder / "out").iterdir()] == ["01.jsonl"]
    crawl.feed = "out/01.jsonl"
    assert crawl.items() == plain.items()


def test_the_last_item_with_a_key_is_its_final_state(new_crawl: NewCrawl) -> None:
    settings = {"RESUME_ITEM_KEY": "place", "CONCURRENT_REQUESTS": 1}
    crawl = new_crawl(settings=settings)
    crawl.run_killed(at_random(random.Random(3)))
    crawl.run_to_the_end()
    last = {}
    for item in map(json.loads, crawl.path.read_bytes().splitlines()):
        last[item["place"]] = item
    stored = {item["place"]: item for item in stored_items(crawl)}
    assert last == stored
    assert len(stored) == 3


def stored_items(crawl: Crawl) -> list[dict[str, object]]:
    from scrapy_resume import open_store

    return [dict(item) for item in open_store(location(crawl.folder / "store")).items("feeding")]


def test_an_item_that_is_changed_after_the_pipelines_is_exported_as_it_was(
    new_crawl: NewCrawl,
) -> None:
    crawl = new_crawl(arguments={"reuses_items": 1}, settings={"CONCURRENT_REQUESTS": 1})
    plain = new_crawl("plain", arguments={"reuses_items": 1}, settings={"CONCURRENT_REQUESTS": 1})
    plain.run(plain=True)
    crawl.run()
    assert crawl.items() == plain.items()
    assert Counter(plain.items().values()) == {1: 120}
