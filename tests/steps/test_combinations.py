"""Steps together with what else changes items: the table in docs/steps.md."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import Counter
from typing import Any

import pytest

from scrapy_resume import open_store
from scrapy_resume.steering import retry_steps
from tests.support.steppings import JOB, Steppings

ITEMS: list[dict[str, Any]] = [
    {"n": 1, "html": "x", "plan": {"plain": "fail"}},
    {"n": 2, "html": "x"},
    {"n": 3},
]


def mended(steppings: Steppings) -> None:
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace('behave("plain", item, before)', "pass"))


def completed(steppings: Steppings, *more: str, **settings: Any) -> None:
    run = steppings.run(ITEMS, None, settings, *more)
    assert run.is_finished, run.tail()


@pytest.mark.parametrize("key", [{}, {"RESUME_ITEM_KEY": "n"}], ids=["plain", "key"])
def test_a_late_result_is_in_a_local_feed_once(steppings: Steppings, key: dict[str, str]) -> None:
    completed(steppings, **key)
    assert retry_steps(steppings.location, JOB, step="plain").steps == 1
    mended(steppings)
    completed(steppings, **key)
    assert {n: item["plain"] for n, item in steppings.fed().items()} == {1: 3, 2: 5, 3: 7}
    assert steppings.stored() == steppings.fed()


@pytest.mark.parametrize(
    "name",
    [
        "late.json",
        pytest.param("late.csv", marks=pytest.mark.soak),
        pytest.param("late.jsonl.gz", marks=pytest.mark.soak),
    ],
)
def test_a_late_result_is_in_feeds_of_other_formats_once(steppings: Steppings, name: str) -> None:
    options: dict[str, Any] = {"format": name.split(".")[1], "fields": ["n", "plain", "length"]}
    if name.endswith(".gz"):
        options["postprocessing"] = ["scrapy.extensions.postprocessing.GzipPlugin"]
    feeds = json.dumps({name: options})
    completed(steppings, FEEDS=feeds)
    assert retry_steps(steppings.location, JOB, step="plain").steps == 1
    mended(steppings)
    completed(steppings, FEEDS=feeds)
    content = (steppings.place.path / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    whole = {"n": 1, "plain": 3, "length": 1}
    if name.endswith(".json"):
        assert sorted(item["n"] for item in json.loads(text)) == [1, 2, 3]
        assert whole in json.loads(text)
    elif name.endswith(".csv"):
        assert sorted(text.splitlines()[1:]) == ["1,3,1", "2,5,1", "3,7,"]
    else:
        assert sorted(json.loads(line)["n"] for line in text.splitlines()) == [1, 2, 3]
        assert whole in map(json.loads, text.splitlines())


def test_items_are_in_the_batch_of_a_feed_that_is_open_when_their_steps_end(
    steppings: Steppings,
) -> None:
    options = {"format": "jsonlines", "batch_item_count": 2}
    completed(steppings, FEEDS=json.dumps({"batch-%(batch_id)d.jsonl": options}))
    files = sorted(steppings.place.path.glob("batch-*.jsonl"))
    texts = [path.read_text().splitlines() for path in files]
    assert [len(lines) for lines in texts] == [2, 1]
    assert Counter(json.loads(line)["n"] for lines in texts for line in lines) == {1: 1, 2: 1, 3: 1}


def test_an_extended_job_carries_results_over(steppings: Steppings) -> None:
    completed(steppings, RESUME_MODE="extend")
    before = steppings.stored()
    completed(steppings, RESUME_MODE="extend")
    assert steppings.stored() == before
    assert steppings.called("double") == {1: 1, 2: 1, 3: 1}
    assert steppings.called("plain") == {1: 2, 2: 1, 3: 1}, "what has failed is tried again"


def test_delta_fetches_again_what_gave_partial_items(steppings: Steppings) -> None:
    completed(steppings, RESUME_MODE="delta", RESUME_DELTA_START="skip")
    mended(steppings)
    completed(steppings, RESUME_MODE="delta", RESUME_DELTA_START="skip")
    (item,) = open_store(steppings.location).items(f"{JOB}#2")
    assert (item["n"], item["plain"]) == (1, 3)


def test_an_item_that_a_pipeline_drops_has_no_steps(steppings: Steppings) -> None:
    drops = "\n\nclass Drops:\n    def process_item(self, item):\n"
    drops += "        from scrapy.exceptions import DropItem\n\n"
    drops += "        if item['n'] == 2:\n            raise DropItem('two')\n        return item\n"
    steppings.spider.write_text(steppings.spider.read_text() + drops)
    completed(steppings, ITEM_PIPELINES='{"stepping.Drops": 1}')
    assert set(steppings.fed()) == {1, 3}
    assert steppings.called("double") == {1: 1, 3: 1}


def test_items_with_one_key_are_one_item_the_latest(steppings: Steppings) -> None:
    items = [{"n": 1, "html": "x", "plan": {"seconds": 0.3}}, {"n": 1, "html": "xyz"}]
    settings = {"RESUME_ITEM_KEY": "n", "CONCURRENT_REQUESTS": 1}
    run = steppings.run(items, None, settings)
    assert run.is_finished, run.tail()
    assert steppings.stored()[1]["length"] == 3
    assert steppings.job()["status"] == "completed"


def test_a_late_result_of_an_item_in_a_full_batch_is_in_the_last_one(
    steppings: Steppings,
) -> None:
    options = {"format": "jsonlines", "batch_item_count": 2}
    feeds = json.dumps({"batch-%(batch_id)d.jsonl": options})
    completed(steppings, FEEDS=feeds)
    first = (steppings.place.path / "batch-1.jsonl").read_text()
    assert retry_steps(steppings.location, JOB, step="plain").steps == 1
    mended(steppings)
    completed(steppings, FEEDS=feeds)
    assert (steppings.place.path / "batch-1.jsonl").read_text() == first
    lines = [
        json.loads(line)
        for path in sorted(steppings.place.path.glob("batch-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    latest = {item["n"]: item for item in lines}
    assert {n: item["plain"] for n, item in latest.items()} == {1: 3, 2: 5, 3: 7}
    assert len(lines) <= len(ITEMS) + 1, "no other item is there twice"


UPLOADS = """

from scrapy.extensions.feedexport import BlockingFeedStorage


class Uploads(BlockingFeedStorage):
    def __init__(self, uri, *, feed_options=None):
        self.name = uri.partition("://")[2]

    def _store_in_thread(self, file):
        file.seek(0)
        before = len(list(Path().glob(self.name + ".*")))
        Path(f"{self.name}.{before}").write_bytes(file.read())
        file.close()
"""


def test_an_upload_has_the_items_whose_steps_have_ended_and_again_all_after_a_retry(
    steppings: Steppings,
) -> None:
    steppings.spider.write_text(steppings.spider.read_text() + UPLOADS)
    items = [{"n": 1}, {"n": 2, "plan": {"double": "flaky"}}, {"n": 3, "plan": {"double": "fail"}}]
    steps: dict[str, int | None] = {"stepping.double": 1}
    settings = {
        "FEED_STORAGES": '{"kept": "stepping.Uploads"}',
        "FEEDS": '{"kept://up.jsonl": {"format": "jsonlines"}}',
    }

    def uploaded(count: int) -> dict[int, Any]:
        assert len(list(steppings.place.path.glob("up.jsonl.*"))) == count
        text = (steppings.place.path / f"up.jsonl.{count - 1}").read_text()
        found = [json.loads(line) for line in text.splitlines()]
        assert len({item["n"] for item in found}) == len(found)
        return {item["n"]: item.get("double") for item in found}

    waits = {"RESUME_RETRY_DELAY": 60, "RESUME_RETRY_WAIT": 0}
    run = steppings.run(items, steps, {**settings, **waits})
    assert steppings.job()["reason"] == "resume_later", run.tail()
    assert uploaded(1) == {1: 2, 3: None}
    assert retry_steps(steppings.location, JOB, step="double").steps == 1
    steppings.spider.write_text(
        steppings.spider.read_text().replace('behave("double", item, before)', "pass")
    )
    hurry = {"RESUME_RETRY_DELAY_MAX": 1, "RESUME_RETRY_WAIT": 120}
    database = sqlite3.connect(next(steppings.place.path.glob("store/*.sqlite3")))
    database.execute("UPDATE step SET not_before = 1 WHERE not_before > 0")
    database.commit()
    database.close()
    run = steppings.run(items, steps, {**settings, **hurry})
    assert run.is_finished, run.tail()
    assert uploaded(2) == {1: 2, 2: 4, 3: 6}


def test_items_that_were_stored_before_steps_were_switched_on_have_none(
    steppings: Steppings,
) -> None:
    items = [{"n": n} for n in range(4)]
    settings = {"CONCURRENT_REQUESTS": 1, "CLOSESPIDER_ITEMCOUNT": 1, "DOWNLOAD_DELAY": 0.2}
    run = steppings.run(items, {}, settings, on_site=True)
    assert steppings.job()["status"] == "paused", run.tail()
    before = set(steppings.stored())
    assert 1 <= len(before) < 4
    run = steppings.run(items, {"stepping.double": 1}, on_site=True)
    assert run.is_finished, run.tail()
    assert set(steppings.called("double")) == set(range(4)) - before
    assert set(steppings.fed()) == set(range(4))
    assert all(("double" in item) == (n not in before) for n, item in steppings.fed().items())
