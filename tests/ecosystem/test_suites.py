"""The own suites of packages that people use: a test that passes without the add-on passes with it.

What is tried here is what crawls most in each; all of it is left to the soak.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ecosystem.suites import Suite, compare

SCRAPYRT = Suite("scrapyrt", environment={"TRIAL_COLLECT": "yes"})
POET = Suite("scrapy-poet", ("--reactor=asyncio",))
ZYTE_API = Suite("scrapy-zyte-api", ("--reactor=asyncio",))
SCRAPY = Suite("scrapy", mode="every")

REFUSED = {
    "tests/test_crawl.py::TestCrawl::test_start_unsupported_output": (
        "start() yields object(), which plain Scrapy lets pass for an item: an item that cannot be "
        "stored is an error, and the test counts errors"
    ),
}
"""Tests that are lost because what they do is refused, and why."""


@dataclass(frozen=True)
class Part:
    suite: Suite
    tests: tuple[str, ...]
    passed: int
    """At least so many pass: that the trial has taken place at all."""
    jobs: int = 0


SHORT = [
    Part(SCRAPYRT, ("tests/test_resource_crawl.py",), 30),
    Part(POET, ("tests/test_middleware.py", "tests/test_web_poet_rules.py"), 60, 40),
    Part(ZYTE_API, ("tests/test_sessions_check_default.py", "tests/test_providers.py"), 20, 10),
    Part(SCRAPY, ("tests/test_crawl.py", "tests/test_spider_start.py"), 60, 30),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", SHORT, ids=lambda part: part.suite.package)
def test_no_test_is_lost(part: Part, tmp_path: Path) -> None:
    found = compare(part.suite, part.tests, tmp_path)
    assert found.lost - set(REFUSED) == set(), found.log[-6000:]
    assert found.passed >= part.passed
    assert found.jobs >= part.jobs
