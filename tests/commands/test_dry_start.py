"""Before the first run: what ``start()`` would request. Nothing is fetched, nothing left behind."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import schemas

SETTINGS = """
BOT_NAME = "shop"
SPIDER_MODULES = ["shop.spiders"]
ADDONS = {"scrapy_resume.Addon": 500}
RESUME_STORE = "store"
ROBOTSTXT_OBEY = True
FEEDS = {"out.jsonl": {"format": "jsonlines", "overwrite": True}}
ITEM_PIPELINES = {"shop.parts.Pipeline": 1}
EXTENSIONS = {"shop.parts.Extension": 1}
"""

PARTS = """
from pathlib import Path


class Touching:
    def __init__(self):
        Path(type(self).__name__).touch()

    def process_item(self, item):
        return item


class Pipeline(Touching):
    pass


class Extension(Touching):
    pass


class AddsOne:
    async def process_start(self, start):
        async for entry in start:
            yield entry
            if getattr(entry, "url", "").endswith("/a"):
                yield entry.replace(url=entry.url + "dded")
"""

SPIDERS = """
import asyncio

from scrapy import Request, Spider, signals
from scrapy.spiders import SitemapSpider


class Books(Spider):
    name = "books"
    site = None

    async def start(self):
        yield Request(f"{self.site}/a", self.parse_list, priority=3)
        yield Request(f"{self.site}/b", meta={"resume_unit": "bees"})
        yield {"title": "an item of start() itself"}
        yield Request(f"{self.site}/b")
        yield Request(f"{self.site}/b", method="POST", dont_filter=True)

    def parse_list(self, response):
        pass


class Altered(Books):
    name = "altered"
    custom_settings = {"SPIDER_MIDDLEWARES": {"shop.parts.AddsOne": 5}}


class Endless(Spider):
    name = "endless"
    site = None

    async def start(self):
        number = 0
        while True:
            number += 1
            yield Request(f"{self.site}/{number}")


class Lazy(Spider):
    name = "lazy"
    site = None

    async def start(self):
        for number in range(3):
            await self.crawler.signals.wait_for(signals.scheduler_empty)
            yield Request(f"{self.site}/{number}")


class Map(SitemapSpider):
    name = "map"

    def __init__(self, site=None, **more):
        super().__init__(**more)
        self.sitemap_urls = [f"{site}/robots.txt", f"{site}/sitemap.xml"]


class Asking(Spider):
    name = "asking"
    site = None

    async def start(self):
        yield Request(f"{self.site}/a")
        response = await self.crawler.engine.download_async(Request(f"{self.site}/list"))
        yield Request(response.urljoin("b"))


class Raising(Spider):
    name = "raising"
    site = None

    async def start(self):
        yield Request(f"{self.site}/a")
        raise ValueError("no list")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shop = tmp_path / "shop"
    (shop / "spiders").mkdir(parents=True)
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    (shop / "__init__.py").touch()
    (shop / "settings.py").write_text(SETTINGS)
    (shop / "parts.py").write_text(PARTS)
    (shop / "spiders" / "__init__.py").write_text(SPIDERS)
    return tmp_path


@pytest.fixture
def site() -> Iterator[str]:
    """A server at which nobody may knock."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        knocked, _, _ = select.select([server], [], [], 0)
        assert not knocked, "something was fetched"


def dry(project: Path, spider: str, site: str, *words: str) -> subprocess.CompletedProcess[str]:
    before = files(project)
    command = [sys.executable, "-m", "scrapy", "resume", "run", spider, "--dry-run"]
    answer = subprocess.run(
        [*command, "-a", f"site={site}", *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert files(project) == before, "nothing is left behind"
    return answer


def files(project: Path) -> set[str]:
    return {path.name for path in project.iterdir()}


def document(project: Path, spider: str, site: str, *words: str) -> dict[str, Any]:
    answer = dry(project, spider, site, "--json", *words)
    found: dict[str, Any] = json.loads(answer.stdout)
    schemas.check(found, "run")
    assert (answer.returncode == 0) == (found["error"] is None), answer.stderr
    return found


def test_what_start_would_request_is_listed(project: Path, site: str) -> None:
    answer = dry(project, "books", site)
    assert (answer.returncode, answer.stderr) == (0, "")
    *lines, summary = answer.stdout.splitlines()
    assert lines == [
        f"GET {site}/a  parse_list, priority 3",
        f"GET {site}/b  parse, unit bees",
        f"POST {site}/b  parse",
    ]
    assert summary.startswith("# there is no job books-")
    assert summary.endswith(
        "begin with 3 requests, 1 duplicates that are dropped, 1 item of start() itself"
    )


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-s", "TWISTED_REACTOR=twisted.internet.selectreactor.SelectReactor"),
        ("-s", "TWISTED_REACTOR_ENABLED=False"),
    ],
)
def test_as_a_document(project: Path, site: str, words: tuple[str, ...]) -> None:
    found = document(project, "books", site, *words)
    requests = found.pop("requests")
    assert [(one["method"], one["url"].rpartition("/")[2]) for one in requests] == [
        ("GET", "a"),
        ("GET", "b"),
        ("POST", "b"),
    ]
    assert found.pop("job").startswith("books-")
    assert (found["spider"], found["duplicates"], found["items"]) == ("books", 1, 1)
    assert (found["complete"], found["error"]) == (True, None)


def test_spider_middlewares_of_the_spider_take_part(project: Path, site: str) -> None:
    urls = [one["url"] for one in document(project, "altered", site)["requests"]]
    assert urls == [f"{site}/a", f"{site}/added", f"{site}/b", f"{site}/b"]


def test_an_endless_start_ends_at_the_limit(project: Path, site: str) -> None:
    found = document(project, "endless", site, "--limit", "7")
    assert len(found["requests"]) == 7
    assert not found["complete"]


def test_a_start_that_waits_for_an_empty_scheduler_goes_on(project: Path, site: str) -> None:
    assert len(document(project, "lazy", site)["requests"]) == 3


def test_sitemaps_are_listed_and_not_read(project: Path, site: str) -> None:
    urls = [one["url"] for one in document(project, "map", site)["requests"]]
    assert urls == [f"{site}/robots.txt", f"{site}/sitemap.xml"]


@pytest.mark.parametrize(
    ("spider", "error"),
    [("asking", "a dry run fetches nothing, and start() asks for"), ("raising", "no list")],
)
def test_a_start_that_needs_a_page_or_raises_is_an_error(
    project: Path, site: str, spider: str, error: str
) -> None:
    found = document(project, spider, site)
    assert [one["url"] for one in found["requests"]] == [f"{site}/a"]
    assert error in found["error"]
    answer = dry(project, spider, site)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert error in answer.stderr


def test_neither_a_spider_nor_a_job(project: Path, site: str) -> None:
    answer = dry(project, "magazines", site)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "There are no jobs in" in answer.stderr
