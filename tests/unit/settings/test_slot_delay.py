"""The longest delay of any download slot, with all that makes it longer."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from scrapy.settings import Settings

from scrapy_resume.settings.slot_delay import longest_slot_delay

EXACT = {"RANDOMIZE_DOWNLOAD_DELAY": False}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"DOWNLOAD_DELAY": 0}, 0.0),
        ({"DOWNLOAD_DELAY": 2}, 2.0),
        ({"DOWNLOAD_DELAY": 2, "RANDOMIZE_DOWNLOAD_DELAY": True}, 3.0),
        ({"DOWNLOAD_DELAY": 2, "DOWNLOAD_SLOTS": {"a": {"delay": 7}, "b": {"delay": 1}}}, 7.0),
        ({"DOWNLOAD_DELAY": 2, "DOWNLOAD_SLOTS": {"a": {"concurrency": 1}}}, 2.0),
        ({"DOWNLOAD_DELAY": 2, "AUTOTHROTTLE_MAX_DELAY": 60}, 2.0),
        (
            {"DOWNLOAD_DELAY": 2, "AUTOTHROTTLE_ENABLED": True, "AUTOTHROTTLE_MAX_DELAY": 60},
            60.0,
        ),
    ],
)
def test_the_longest_delay_counts(settings: dict[str, Any], seconds: float) -> None:
    assert longest_slot_delay(Settings({**EXACT, **settings}), Spider("books")) == seconds


def test_the_spider_s_own_delay_counts() -> None:
    spider = Spider("books", download_delay=4.0)
    assert longest_slot_delay(Settings({**EXACT, "DOWNLOAD_DELAY": 1}), spider) == 4.0
