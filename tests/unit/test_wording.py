"""Counts are written as people write them, in every log line and on every screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scrapy_resume.wording import counted, counted_are

PACKAGE = Path(__file__).parents[2] / "scrapy_resume"

FIXED_PLURAL = re.compile(
    r"(?:\}|%d|%s) (?:requests|jobs|items|pages|runs|workers|files|feeds|attempts|others|crashes)\b"
)
"""A count in a text, and a noun that is a plural whatever the count is."""

MANY = (
    "/min",
    "/s",
    "were discovered last",
    "runs in a row",
    "slot.itemcount",
    "{1} items",
    "More than %d requests",
)
"""In texts of rates, of counts that are many, and in Scrapy's own words."""


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 jobs are"), (1, "1 job is"), (2, "2 jobs are")]
)
def test_one_is_no_plural(count: int, shown: str) -> None:
    assert counted_are(count, "job") == shown
    assert shown.startswith(counted(count, "job"))


def test_no_text_of_the_package_has_a_plural_for_one() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for line in path.read_text().splitlines():
            if FIXED_PLURAL.search(line) and not any(word in line for word in MANY):
                found.append(f"{path.name}: {line.strip()}")
    assert found == []
