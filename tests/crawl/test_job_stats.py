"""``RESUME_STATS = "job"``: what extensions see in Scrapy's stats, over the runs of a job."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.crawl.test_launched import log, run, shop

__all__ = ["shop"]

SPIDER = """
    import json
    import os

    import scrapy
    from scrapy import signals

    class Monitor:
        @classmethod
        def from_crawler(cls, crawler):
            self = cls()
            self.stats = crawler.stats
            crawler.signals.connect(self.closed, signals.spider_closed)
            return self

        def closed(self, spider, reason):
            line = json.dumps(self.stats.get_stats(), default=str)
            with open("monitored.jsonl", "a") as lines:
                lines.write(line + chr(10))

    class Few(scrapy.Spider):
        name = "few"
        custom_settings = {
            "EXTENSIONS": {"shop.spiders.Monitor": 10},
            "CONCURRENT_REQUESTS": 1,
            "LOGSTATS_INTERVAL": 0.2,
            "DOWNLOAD_DELAY": 0.05,
            "RANDOMIZE_DOWNLOAD_DELAY": False,
        }

        async def start(self):
            for number in range(12):
                yield scrapy.Request(f"data:text/plain,{number}")

        def parse(self, response):
            yield {"number": response.text}
            if response.text == os.environ.get("DIE_AT"):
                os._exit(9)
            self.crawler.stats.inc_value("custom/seen")
            self.crawler.stats.inc_value("kinds/" + ("odd" if int(response.text) % 2 else "even"))
"""


@pytest.fixture
def monitored(shop: Path) -> Path:
    (shop / "shop" / "spiders.py").write_text(dedent(SPIDER))
    return shop


def crawl(shop: Path, *words: str, **environment: str) -> int:
    settings = ["-s", "RESUME_STATS=job", *words]
    return run(shop, "-m", "scrapy", "crawl", "few", *settings, environment=environment).returncode


def seen(shop: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shop / "monitored.jsonl").read_text().splitlines()]


def test_monitors_see_the_whole_job_after_stops(monitored: Path) -> None:
    for _ in range(2):
        assert crawl(monitored, "-s", "CLOSESPIDER_PAGECOUNT=4") == 0, log(monitored)
    assert crawl(monitored) == 0, log(monitored)
    first, second, last = seen(monitored)
    assert first["item_scraped_count"] < second["item_scraped_count"] < 12
    assert last["item_scraped_count"] == last["response_received_count"] == 12
    assert last["kinds/odd"] == last["kinds/even"] == 6
    assert last["custom/seen"] == 12 - second["item_scraped_count"]
    assert last["finish_reason"] == "finished"
    assert last["resume/total/items"] == 12
    assert last["resume/total/runs"] == 3
    assert last["elapsed_time_seconds"] > second["elapsed_time_seconds"]
    assert last["start_time"] != first["start_time"]


@pytest.mark.soak
def test_what_was_in_flight_at_a_death_is_counted_once(monitored: Path) -> None:
    assert crawl(monitored, DIE_AT="3") == 9
    assert crawl(monitored, DIE_AT="8") == 9
    assert crawl(monitored) == 0
    (last,) = seen(monitored)
    assert last["item_scraped_count"] == last["resume/total/items"] == 12
    assert 12 <= last["response_received_count"] <= 14, "what was in flight was fetched again"


@pytest.mark.soak
def test_log_of_a_resumed_run_shows_no_rate_that_never_was(monitored: Path) -> None:
    assert crawl(monitored, "-s", "CLOSESPIDER_PAGECOUNT=6") == 0
    (monitored / "crawl.log").unlink()
    assert crawl(monitored, "-s", "DOWNLOAD_DELAY=0.3") == 0
    rates = [
        int(line.split("(at ")[1].split()[0])
        for line in log(monitored).splitlines()
        if "Crawled" in line and "pages/min" in line
    ]
    assert rates
    # At most two pages an interval of 0.2 s.
    assert max(rates) <= 2 * 60 / 0.2, rates


@pytest.mark.soak
def test_stats_are_those_of_the_run_without_the_setting(monitored: Path) -> None:
    for _ in range(2):
        crawl(monitored, "-s", "CLOSESPIDER_PAGECOUNT=4", "-s", "RESUME_STATS=run")
    first, second = seen(monitored)
    assert second["item_scraped_count"] == first["item_scraped_count"]


@pytest.mark.soak
def test_number_that_follows_begins_anew(monitored: Path) -> None:
    for _ in range(2):
        assert crawl(monitored) == 0
    assert [stats["item_scraped_count"] for stats in seen(monitored)] == [12, 12]
