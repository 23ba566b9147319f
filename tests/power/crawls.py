"""Crawls whose disk is recorded: the words that start them, the feeds that they fill."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.feeds.runs import GZIP, parsed
from tests.power.disk import Tree
from tests.support.launcher import Launcher
from tests.support.runs import (
    Run,
    Workplace,
    crawl_words,
    options_of,
    reach_project,
    recorded_items,
    watched,
)
from tests.support.site import Site

SPIDER = "power"
JOB = "power#1"
ANSWERS = "answers.jsonl"
"""Below the disk's folder, but never part of an image: it says what was answered until then."""

FOREIGN = b'{"foreign": 1}\n{"foreign": 2}\n'
"""In ``shared.jsonl`` before the crawl begins, and in ``overwritten.jsonl``."""

FEEDS: Mapping[str, Mapping[str, Any]] = {
    "out/items.jsonl": {"format": "jsonlines"},
    "out/items.json": {"format": "json"},
    "out/items.csv": {
        "format": "csv",
        "fields": ["seed", "path", "status", "title", "missed", "second", "text"],
    },
    "out/items.xml": {"format": "xml"},
    "out/items.jsonl.gz": {"format": "jsonlines", "postprocessing": [GZIP]},
    "shared/shared.jsonl": {"format": "jsonlines"},
    "shared/overwritten.jsonl": {"format": "jsonlines", "overwrite": True},
}

BATCHES: Mapping[str, Mapping[str, Any]] = {
    "batches/%(batch_id)d.jsonl": {"format": "jsonlines", "batch_item_count": 9},
    "batches/%(batch_id)d.xml.gz": {
        "format": "xml",
        "batch_item_count": 14,
        "postprocessing": [GZIP],
    },
}
"""Feeds of many files, each of which is left alone when it is full."""

Feeds = Mapping[str, "Counter[str] | str"]
"""The items of each feed; a text that says what is wrong, if it is not whole."""


@dataclass(frozen=True)
class Crawls:
    """``disk`` is the folder of a job, with its store and its feeds; ``aside`` has the logs."""

    disk: Path
    aside: Path
    site: Site
    launcher: Launcher
    durability: str = "normal"
    feeds: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {**FEEDS, **BATCHES})

    @property
    def store(self) -> Path:
        return self.disk / "store"

    def words(self, *, plain: bool = False) -> list[str]:
        """What follows ``scrapy``, for a crawl."""
        given: dict[str, Any] = {
            "FEEDS": json.dumps(self.feeds),
            "ITEM_PIPELINES": json.dumps({"kinds.pipelines.Lengthen": 500}),
            "CONCURRENT_REQUESTS": 6,
            "SPIDER_MODULES": "kinds.spiders.crash",
        }
        if not plain:
            own = {
                "EXTENSIONS": json.dumps({"kinds.extensions.Answers": 500}),
                "ANSWERS": ANSWERS,
                "RESUME_STORE": "store",
                "RESUME_EVENT_LOG": "events",
                "RESUME_DURABILITY": self.durability,
                "RESUME_COMMIT_INTERVAL": 0.03,
            }
            given |= own
        place = Workplace(self.aside)
        return crawl_words(SPIDER, place, plain=plain, settings=given)

    def prepare(self) -> None:
        """An empty disk, but for what others wrote to feeds before."""
        put(
            {
                "backups": None,
                "batches": None,
                "shared": None,
                "shared/overwritten.jsonl": FOREIGN,
                "shared/shared.jsonl": FOREIGN,
            },
            self.disk,
        )

    def run(
        self,
        words: Sequence[str] | None = None,
        *,
        plain: bool = False,
        variables: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Run:
        """One process of ``scrapy``; it crawls, unless it is given other words."""
        extra = {"SCRAPY_SETTINGS_MODULE": "kinds.settings", **(variables or {})}
        return watched(
            words or self.words(plain=plain),
            site=self.site,
            log=Workplace(self.aside).next_log(),
            plain=plain,
            folder=self.disk,
            launcher=self.launcher,
            extra=extra,
            **how,
        )

    def command(self, *words: str, **how: Any) -> Run:
        """One ``scrapy resume``."""
        return self.run(
            [
                "resume",
                *words,
                *options_of("-s", {"RESUME_STORE": "store", "RESUME_EVENT_LOG": "events"}),
            ],
            **how,
        )

    def contents(self) -> Feeds:
        """What is in the feeds."""
        return {name: items_of(self.disk, name, options) for name, options in self.feeds.items()}

    def jobs(self) -> list[dict[str, Any]]:
        """What the store shows, which is not opened itself: a reader leaves its traces."""
        copy = self.aside / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        if not self.store.exists():
            return []
        shutil.copytree(self.store, copy, ignore=shutil.ignore_patterns("*-shm"))
        return self.jobs_of(copy)

    def status(self) -> str | None:
        """That of the latest job; ``None``: there is none."""
        jobs = self.jobs()
        return str(jobs[0]["status"]) if jobs else None

    @staticmethod
    def jobs_of(store: Path) -> list[dict[str, Any]]:
        reach_project()
        from scrapy_resume import open_store

        return open_store(str(store)).jobs()


@dataclass(frozen=True)
class Plain:
    """What plain Scrapy gives."""

    items: Counter[str]
    feeds: Feeds


def plain(disk: Path, aside: Path, site: Site, launcher: Launcher) -> Plain:
    """Crawls without the package."""
    crawls = Crawls(disk, aside, site, launcher)
    crawls.prepare()
    site.begin(aside / "hits.jsonl", latency=0)
    run = crawls.run(plain=True)
    assert run.is_finished, run.tail()
    feeds = crawls.contents()
    assert all(isinstance(items, Counter) and len(items) > 20 for items in feeds.values()), feeds
    return Plain(recorded_items(Workplace(aside)), feeds)


def items_of(disk: Path, feed: str, options: Mapping[str, Any]) -> Counter[str] | str:
    """The items of all files of a feed; a text that says why one is not whole."""
    paths = sorted(disk.glob(feed.replace("%(batch_id)d", "*"))) or [disk / feed]
    items: Counter[str] = Counter()
    for path in paths:
        try:
            content = path.read_bytes()
            if "postprocessing" in options:
                content = gzip.decompress(content)
            items.update(parsed(content, options["format"]))
        except Exception as error:  # whatever the parsers say of a file that is not whole
            return f"{path.name}: {type(error).__name__}: {error}"[:200]
    return items


def put(tree: Tree, disk: Path) -> None:
    """Have a folder hold a tree, and nothing else."""
    shutil.rmtree(disk, ignore_errors=True)
    disk.mkdir(parents=True)
    for name, content in tree.items():
        path = disk / name
        if content is None:
            path.mkdir(mode=0o700)
        else:
            path.write_bytes(content)
            path.chmod(0o600)
