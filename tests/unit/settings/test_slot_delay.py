"""The longest delay of any download slot, with all that makes it longer."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from scrapy.settings import Settings, default_settings

from scrapy_resume.settings.slot_delay import longest_slot_delay
from tests.support.skips import other_scrapy

HAS_JITTER = hasattr(default_settings, "DOWNLOAD_DELAY_JITTER")
"""Scrapy 2.19 and later."""
EXACT: dict[str, Any] = (
    {"DOWNLOAD_DELAY_JITTER": 0} if HAS_JITTER else {"RANDOMIZE_DOWNLOAD_DELAY": False}
)
jitter_only = pytest.mark.skipif(
    not HAS_JITTER, reason=other_scrapy("it has no DOWNLOAD_DELAY_JITTER")
)


def longest(settings: dict[str, Any]) -> float:
    return longest_slot_delay(Settings(settings), Spider("books"))


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"DOWNLOAD_DELAY": 0}, 0.0),
        ({"DOWNLOAD_DELAY": 2}, 2.0),
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
    assert longest({**EXACT, **settings}) == seconds


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 3.0),
        ({"RANDOMIZE_DOWNLOAD_DELAY": False}, 2.0),
        ({"RANDOMIZE_DOWNLOAD_DELAY": True}, 3.0),
        (
            {
                "RANDOMIZE_DOWNLOAD_DELAY": False,
                "DOWNLOAD_SLOTS": {"a": {"randomize_delay": True}, "b": {"delay": 2.5}},
            },
            3.0,
        ),
        ({"DOWNLOAD_SLOTS": {"a": {"delay": 4, "randomize_delay": False}}}, 4.0),
    ],
)
def test_a_randomized_delay_may_be_half_as_long_again(
    settings: dict[str, Any], seconds: float
) -> None:
    assert longest({"DOWNLOAD_DELAY": 2, **settings}) == seconds


@jitter_only
@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"DOWNLOAD_DELAY_JITTER": 2}, 6.0),
        ({"DOWNLOAD_DELAY_JITTER": 0}, 2.0),
        # Set with the same priority: Scrapy takes the newer one.
        ({"DOWNLOAD_DELAY_JITTER": 1, "RANDOMIZE_DOWNLOAD_DELAY": False}, 4.0),
        ({"DOWNLOAD_SLOTS": {"a": {"jitter": 1}}}, 4.0),
        ({"DOWNLOAD_SLOTS": {"a": {"delay": 4, "jitter": 0}}}, 4.0),
        # What AutoThrottle has slowed down varies too, as its slot says.
        (
            {
                "AUTOTHROTTLE_ENABLED": True,
                "AUTOTHROTTLE_MAX_DELAY": 10,
                "DOWNLOAD_SLOTS": {"a": {"jitter": 3}},
            },
            40.0,
        ),
    ],
)
def test_jitter_makes_a_delay_longer(settings: dict[str, Any], seconds: float) -> None:
    assert longest({"DOWNLOAD_DELAY": 2, **settings}) == seconds


@jitter_only
def test_what_is_set_with_the_higher_priority_makes_a_delay_longer() -> None:
    settings = Settings({"DOWNLOAD_DELAY": 2, "DOWNLOAD_DELAY_JITTER": 3})
    settings.set("RANDOMIZE_DOWNLOAD_DELAY", True, "spider")
    assert longest_slot_delay(settings, Spider("books")) == 3.0
    settings.set("DOWNLOAD_DELAY_JITTER", 4, "cmdline")
    assert longest_slot_delay(settings, Spider("books")) == 10.0


@pytest.mark.skipif(HAS_JITTER, reason=other_scrapy("it has DOWNLOAD_DELAY_JITTER"))
def test_a_scrapy_that_knows_no_jitter_ignores_it() -> None:
    slots = {"a": {"jitter": 4}}
    assert longest({"DOWNLOAD_DELAY": 2, "DOWNLOAD_DELAY_JITTER": 3, "DOWNLOAD_SLOTS": slots}) == 3


def test_the_spider_s_own_delay_counts() -> None:
    spider = Spider("books", download_delay=4.0)
    assert longest_slot_delay(Settings({**EXACT, "DOWNLOAD_DELAY": 1}), spider) == 4.0
