"""A job's file that somebody else has written makes a crawl run none of its code."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of, watched
from tests.support.site import Site
from tests.support.stores import on_postgres

pytestmark = pytest.mark.skipif(on_postgres(), reason="a job's file is of a store in a directory")

SPIDER = """
import scrapy
from scrapy.exceptions import CloseSpider


def parse_here(response):
    yield {"here": response.url}


class Hostile(scrapy.Spider):
    name = "hostile"
    stop = "no"

    async def start(self):
        yield scrapy.Request("data:,start")

    def parse(self, response):
        for number in range(3):
            yield scrapy.Request(f"data:,{number}", self.parse_child)
        yield scrapy.Request("data:,here", parse_here)
        yield {"start": True}
        if self.stop == "yes":
            raise CloseSpider("enough")

    def parse_child(self, response):
        yield {"child": response.url}
"""


class Crawl:
    """A crawl of a file, its job and its job's file."""

    def __init__(self, site: Site, place: Workplace, launcher: Launcher) -> None:
        self._site, self._place, self._launcher = site, place, launcher
        self.folder = place.path
        (self.folder / "hostile.py").write_text(SPIDER)

    def scrapy(self, *words: str, **settings: Any) -> Run:
        given = {
            "ADDONS": '{"scrapy_resume.Addon": 500}',
            "RESUME_STORE": self._place.location,
            **settings,
        }
        words = (*words, *options_of("-s", given))
        log, folder = self._place.next_log(), self.folder
        return watched(words, site=self._site, log=log, folder=folder, launcher=self._launcher)

    def crawl(self, stop: str = "no", **settings: Any) -> Run:
        return self.scrapy("runspider", "hostile.py", "-a", f"stop={stop}", **settings)

    def job(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scrapy("resume", "status", "--json").text)
        return found

    def items(self) -> list[Any]:
        run = self.scrapy("resume", "export", "-o", "-:jsonlines")
        return [json.loads(line) for line in run.text.splitlines()]

    @property
    def file(self) -> Path:
        (found,) = self._place.store.glob("*.sqlite3")
        return found

    def change(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, values)


@pytest.fixture
def crawl(site: Site, place: Workplace, launcher: Launcher) -> Crawl:
    return Crawl(site, place, launcher)


def paused(crawl: Crawl) -> Crawl:
    """A job with four requests that wait, of which none was sent."""
    run = crawl.crawl(stop="yes", RESUME_JOB="hostile", CONCURRENT_REQUESTS=1)
    assert run.exit_code == 0, run.tail()
    assert crawl.job()["requests"]["pending"] == 4
    return crawl


def test_a_forged_callback_is_held_and_said_loudly_and_the_rest_is_crawled(crawl: Crawl) -> None:
    mark = paused(crawl).folder / "attacked"
    forged = {"callback": "function:pydoc:pipepager", "cb_kwargs": {"cmd": f"touch {mark}"}}
    crawl.change(
        "UPDATE request SET shared = NULL, payload = ? WHERE url LIKE '%,1'", json.dumps(forged)
    )

    verified = crawl.scrapy("resume", "verify")
    assert verified.exit_code == 1
    assert "pydoc:pipepager" in verified.text
    assert "1 request" in verified.text
    copy = str(crawl.folder / "copy")
    assert crawl.scrapy("resume", "backup", "hostile", copy).exit_code == 0
    assert crawl.scrapy("resume", "reset", "hostile", "--yes").exit_code == 0
    restored = crawl.scrapy("resume", "restore", copy)
    assert restored.exit_code == 0
    assert "pydoc:pipepager is named by 1 request" in restored.text

    run = crawl.crawl(RESUME_JOB="hostile")
    assert run.exit_code == 1, run.tail()
    assert "RESUME_TRUSTED = ['pydoc']" in run.text
    assert not mark.exists()
    job = crawl.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing")
    assert "scrapy resume verify hostile#1" in crawl.scrapy("resume", "status").text
    assert (job["requests"]["pending"], job["requests"]["failed"]) == (1, 0)
    assert len(crawl.items()) == 4
    (held,) = json.loads(crawl.scrapy("resume", "requests", "--state", "pending", "--json").text)
    assert (held["attempts"], held["crashes"]) == (0, 0)


def test_a_forged_feed_record_writes_no_other_file(crawl: Crawl) -> None:
    feeds = json.dumps({"out.jsonl": {"format": "jsonlines", "overwrite": True}})
    first = crawl.crawl(stop="yes", RESUME_JOB="hostile", CONCURRENT_REQUESTS=1, FEEDS=feeds)
    assert first.exit_code == 0, first.tail()
    precious = crawl.folder / "precious.jsonl"
    precious.write_text("precious")
    before = (crawl.folder / "out.jsonl").read_text()
    crawl.change("UPDATE feed SET record = json_set(record, '$.path', ?)", str(precious))
    run = crawl.crawl(RESUME_JOB="hostile", FEEDS=feeds)
    assert run.exit_code == 1, run.tail()
    assert str(precious) in run.text
    assert precious.read_text() == "precious"
    assert (crawl.folder / "out.jsonl").read_text() == before
    assert crawl.job()["status"] == "paused"
    assert len(crawl.items()) == 5


def test_forged_state_is_refused_before_anything_is_fetched(crawl: Crawl) -> None:
    paused(crawl)
    crawl.change(
        "INSERT OR REPLACE INTO spider_state (one, payload) VALUES (1, ?)",
        json.dumps({"a": {"$class": "subprocess:Popen"}}),
    )
    assert "subprocess:Popen is named by 1 spider.state" in crawl.scrapy("resume", "verify").text
    run = crawl.crawl(RESUME_JOB="hostile")
    assert run.exit_code == 1
    assert "RESUME_TRUSTED = ['subprocess']" in run.text
    assert crawl.job()["requests"]["done"] == 1


def test_a_foreign_callback_runs_from_memory_and_gives_the_same_items(crawl: Crawl) -> None:
    spider = crawl.folder / "hostile.py"
    (crawl.folder / "vendor_parsers.py").write_text(
        "def parse_there(response):\n    yield {'there': response.url}\n"
    )
    text = spider.read_text().replace(
        'yield scrapy.Request("data:,here", parse_here)',
        'yield scrapy.Request("data:,there", parse_there)\n'
        '        yield scrapy.Request("data:,also", parse_there)',
    )
    spider.write_text(f"from vendor_parsers import parse_there\n{text}")
    run = crawl.crawl(RESUME_JOB="hostile")
    assert run.exit_code == 0, run.tail()
    assert run.text.count("RESUME_TRUSTED = ['vendor_parsers']") == 1, run.tail()
    assert "'resume/unrecorded': 2" in run.text
    found = sorted(json.dumps(item) for item in crawl.items())
    assert len(found) == 6
    again = crawl.crawl(RESUME_JOB="hostile", RESUME_TRUSTED="vendor_parsers")
    assert again.exit_code == 0, again.tail()
    assert "resume/unrecorded" not in again.text
    assert sorted(json.dumps(item) for item in crawl.items()) == found
