"""Spider middlewares from before Scrapy 2.13, which have ``process_start_requests()`` alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from scrapy.core.spidermw import SpiderMiddlewareManager

from tests.crawl.test_launched import jobs, log, numbers, run, shop
from tests.support.skips import other_scrapy

__all__ = ["shop"]

pytestmark = pytest.mark.skipif(
    not hasattr(SpiderMiddlewareManager, "_check_deprecated_process_start_requests_use"),
    reason=other_scrapy("it knows no process_start_requests()"),
)

MIDDLEWARES = """
    import os

    class Old:
        def process_start_requests(self, start, spider):
            for request in start:
                yield request.replace(url=request.url + "0")

    class OlderStill:
        def process_start_requests(self, start, spider):
            return list(start)
"""

OLD_SPIDER = """
    import os
    import scrapy

    class Old(scrapy.Spider):
        name = "old"
        custom_settings = {
            "SPIDER_MIDDLEWARES": {"shop.old.Old": 100, "shop.old.OlderStill": 900},
            "CONCURRENT_REQUESTS": 1,
        }

        def start_requests(self):
            for number in range(5):
                yield scrapy.Request(f"data:text/plain,{number}")

        def parse(self, response):
            if response.text == os.environ.get("DIE_AT"):
                os._exit(9)
            yield {"number": response.text}
"""


def test_the_start_requests_of_old_style_middlewares_are_a_job(shop: Path) -> None:
    (shop / "shop" / "old.py").write_text(dedent(MIDDLEWARES))
    (shop / "shop" / "spiders.py").write_text(dedent(OLD_SPIDER))
    words = ["-m", "scrapy", "crawl", "old", "-o", "items.jsonl"]
    assert run(shop, *words, environment={"DIE_AT": "20"}).returncode == 9, log(shop)
    ended = run(shop, *words)
    assert ended.returncode == 0, log(shop)
    assert numbers(shop) == ["00", "10", "20", "30", "40"]
    assert jobs(shop) == ["old"]
    assert "resume/total/runs': 2" in log(shop)
