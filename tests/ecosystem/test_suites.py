"""The own suites of packages that people use: a test that passes without the add-on passes with it.

What is tried here is what crawls most in each; all of it is left to the soak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.ecosystem.suites import Suite, compare

SCRAPYRT = Suite("scrapyrt", environment={"TRIAL_COLLECT": "yes"})
POET = Suite("scrapy-poet", ("--reactor=asyncio",))
ZYTE_API = Suite("scrapy-zyte-api", ("--reactor=asyncio",))
# Its fixtures use what pytest 9 deprecates, and its settings make an error of that.
SCRAPY = Suite("scrapy", ("-W", "ignore::pytest.PytestRemovedIn10Warning"), "every")

REFUSED = {
    "tests/test_crawl.py::TestCrawl::test_start_unsupported_output": (
        "start() yields object(), which plain Scrapy lets pass for an item: an item that cannot be "
        "stored is an error, and the test counts errors"
    ),
}
"""Tests that are lost because what they do is refused, and why."""

BY_CHANCE = {
    "tests/test_sessions_pool.py::test_size": (
        "counts the uses of sessions drawn from a pool at random; fails without the add-on too"
    ),
}
"""Tests that pass or fail by chance, with the add-on and without it, and why."""


@dataclass(frozen=True)
class Part:
    suite: Suite
    tests: tuple[str, ...]
    passed: int
    """At least so many pass, and crawlers have the add-on, and jobs are opened."""
    crawlers: int
    jobs: int = 0


CRAWLS_OF_SCRAPYRT = "tests/test_resource_crawl.py::TestCrawlResourceIntegration"

SHORT = [
    Part(
        SCRAPYRT,
        (
            "tests/test_crawl_manager.py",
            f"{CRAWLS_OF_SCRAPYRT}::test_no_url_but_spider_start_present",
            f"{CRAWLS_OF_SCRAPYRT}::test_passing_errback",
        ),
        30,
        2,
    ),
    Part(POET, ("tests/test_middleware.py", "tests/test_providers.py"), 18, 15, 12),
    Part(
        replace(ZYTE_API, mode="every"),
        ("tests/test_sessions_check_custom.py", "tests/test_sessions_close.py"),
        25,
        25,
        25,
    ),
    Part(SCRAPY, ("tests/test_crawl.py", "tests/test_spider_start.py"), 60, 50, 30),
]

CRAWLING = """
    closespider command_crawl command_runspider contracts core_downloader core_scraper crawl
    crawler crawler_runners crawler_subprocess downloadermiddleware
    downloadermiddleware_cookies downloadermiddleware_httpcache downloadermiddleware_offsite
    downloadermiddleware_redirect downloadermiddleware_retry downloaderslotssettings
    dupefilters engine engine_close_spider engine_download engine_loop extension_throttle
    feedexport feedexport_batch feedexport_postprocess feedexport_storages
    feedexport_uri_params pipeline_crawl pipeline_files pipeline_images pipeline_media
    pipelines request_attribute_binding request_cb_kwargs request_left scheduler
    scheduler_base signals spider_crawl spider_sitemap spider_start spidermiddleware
    spidermiddleware_output_chain spidermiddleware_process_start spidermiddleware_referer
    spidermiddleware_start spiderstate stats
"""
"""Scrapy's test modules in which something crawls, without their prefix."""

# So many were measured, less a few of what the machine skips.
WHOLE = [
    Part(SCRAPYRT, ("tests",), 126, 25),
    Part(POET, ("tests",), 230, 220, 130),
    Part(ZYTE_API, ("tests",), 1560, 1500, 50),
    # As a user's own crawls are jobs, so that crawlers of get_crawler() are none.
    Part(
        replace(SCRAPY, mode="on"),
        tuple(f"tests/test_{m}.py" for m in CRAWLING.split()),
        1290,
        1200,
        120,
    ),
]


def hold(part: Part, scratch: Path) -> None:
    found = compare(part.suite, part.tests, scratch)
    known = (*REFUSED, *BY_CHANCE)
    lost = {test for test in found.lost if not test.startswith(known)}
    assert lost == set(), found.log[-6000:]
    assert found.passed >= part.passed
    assert found.crawlers >= part.crawlers
    assert found.jobs >= part.jobs


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", SHORT, ids=lambda part: part.suite.package)
def test_no_test_is_lost(part: Part, tmp_path: Path) -> None:
    hold(part, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", WHOLE, ids=lambda part: part.suite.package)
def test_no_test_of_the_whole_suite_is_lost(part: Part, tmp_path: Path) -> None:
    hold(part, tmp_path)
