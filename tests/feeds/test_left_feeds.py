"""Feeds of earlier runs that nobody goes on with: their notes go when the job is completed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from scrapy_resume import steering
from tests.support.stores import location

from .conftest import NewCrawl
from .runs import Crawl, when_holding


def notes(crawl: Crawl) -> list[str]:
    return sorted(path.name for path in crawl.path.parent.glob(".*.resume"))


def killed(crawl: Crawl) -> None:
    """Dies with its feed begun, in the middle of a line as far as the store knows."""
    usual, crawl.settings = crawl.settings, {**crawl.settings, "DOWNLOAD_DELAY": 0.04}
    crawl.run(kill=when_holding(crawl.feed, 2_000))
    crawl.settings = usual


def paused(crawl: Crawl) -> None:
    """Ends gracefully, with its feed delivered."""
    usual, crawl.settings = crawl.settings, {**crawl.settings, "CLOSESPIDER_ITEMCOUNT": 5}
    crawl.run()
    crawl.settings = usual


@pytest.mark.parametrize(("ends", "suffix"), [(killed, "jsonl"), (paused, "json")])
def test_the_note_goes_and_the_file_stays_as_it_is(
    new_crawl: NewCrawl, whole: Counter[str], ends: object, suffix: str
) -> None:
    options = {"format": "json" if suffix == "json" else "jsonlines"}
    crawl = new_crawl(feed=f"out/first.{suffix}", options=options)
    ends(crawl)  # type: ignore[operator]
    first = crawl.path
    assert [name.startswith(".first") for name in notes(crawl)] == [True]
    before = first.read_bytes()
    crawl.feed = f"out/second.{suffix}"
    crawl.run_to_the_end()
    assert crawl.items() == whole
    assert notes(crawl) == []
    assert first.read_bytes() == before, "it is the user's now"

    # The feed comes back, when the job is reopened: it is whole, and nothing is twice.
    crawl.feed = f"out/first.{suffix}"
    assert steering.retry(location(crawl.folder / "store"), state="done") > 0
    crawl.run_to_the_end()
    assert crawl.items() == whole


def test_the_note_of_another_job_stays(new_crawl: NewCrawl, whole: Counter[str]) -> None:
    crawl = new_crawl(feed="out/shared.jsonl", options={"format": "jsonlines"})
    other = Crawl(crawl.folder / "other", crawl.launcher, feed=str(crawl.path))
    other.folder.mkdir(parents=True)
    paused(crawl)
    paused(other)
    assert len(notes(crawl)) == 2
    crawl.feed = "out/second.jsonl"
    crawl.run_to_the_end()
    left = [name for name in notes(crawl) if name.startswith(".shared")]
    assert left, "the other job goes on with it"
    other.run_to_the_end()
    assert notes(crawl) == []
    text = Path(other.feed).read_text().splitlines()
    held = Counter(json.dumps(json.loads(line), sort_keys=True) for line in text)
    assert not whole - held


def test_a_copy_of_the_store_leaves_the_notes_of_the_original_alone(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl(feed="out/first.jsonl", options={"format": "jsonlines"})
    crawl.feed = str(crawl.path)
    killed(crawl)
    original = crawl.path.parent
    before = {path.name: path.read_bytes() for path in original.iterdir()}
    copy = Crawl(crawl.folder.with_name("copy"), crawl.launcher, feed="out/second.jsonl")
    shutil.copytree(crawl.folder / "store", copy.folder / "store")
    copy.run_to_the_end()
    assert copy.items() == whole
    assert {path.name: path.read_bytes() for path in original.iterdir()} == before
    crawl.run_to_the_end()
    assert crawl.items() == whole
