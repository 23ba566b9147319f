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
from pydoc import plain  # a foreign function: plain(text) gives text
from operator import itemgetter

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

    run = crawl.crawl(RESUME_JOB="hostile")
    assert run.exit_code == 1, run.tail()
    assert "RESUME_TRUSTED = ['pydoc']" in run.text
    assert not mark.exists()
    job = crawl.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing")
    assert (job["requests"]["pending"], job["requests"]["failed"]) == (1, 0)
    assert len(crawl.items()) == 4
    (held,) = json.loads(crawl.scrapy("resume", "requests", "--state", "pending", "--json").text)
    assert (held["attempts"], held["crashes"]) == (0, 0)
