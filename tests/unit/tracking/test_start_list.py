"""A list of ``start()`` that comes back is named; one that grows or shrinks is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import pytest
from scrapy.statscollectors import StatsCollector

from scrapy_resume.codec.distinction import differing_fields
from scrapy_resume.tracking.start_history import StartHistory
from scrapy_resume.tracking.start_list import LONG_LIST, StartList

ONE = "http://a.test/api"


def payload(city: str, at: int) -> str:
    return f'{{"cb_kwargs":{{"city":"{city}","at":{at}}}}}'


class Past:
    """Earlier runs: what they had of ``start()`` and this run has not met."""

    def __init__(self, *left: tuple[str, str]) -> None:
        self.left = list(left)
        self.asked = 0

    def not_met(self, tell: Callable[[list[tuple[str, str]]], None]) -> None:
        self.asked += 1
        tell(self.left)


class Stats:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def set_value(self, name: str, value: Any) -> None:
        self.values[name] = value


def start_list(past: Past, *, began: bool = False) -> StartList:
    stats = cast(StatsCollector, Stats())
    return StartList(cast(StartHistory, past), stats, differing_fields, began=began)


def met(found: StartList, requests: list[tuple[str, str, bool]]) -> None:
    """(city, URL, whether an earlier run has it), in one run, in which the time is 2."""
    for number, (city, url, _) in enumerate(requests):
        found.expect(number, url, payload(city, 2))
    found.start_ended()
    for number, (_, _, known) in enumerate(requests):
        found.settle(number, known=known)
    found.settle(99_999, known=False)


def earlier(cities: str, url: str = ONE) -> Past:
    return Past(*((url, payload(city, 1)) for city in cities))


@pytest.mark.parametrize(
    ("past", "requests", "named"),
    [
        (earlier("abc"), [(city, ONE, False) for city in "abc"], "cb_kwargs['at']"),
        (earlier("a"), [("a", ONE, False)], "cb_kwargs['at']"),
        (
            earlier("abcd"),
            [*((c, ONE, False) for c in "abcd"), ("e", ONE, True)],
            "cb_kwargs['at']",
        ),
        (earlier(""), [(city, ONE, False) for city in "abc"], None),
        (earlier("abc", "http://a.test/other"), [(city, ONE, False) for city in "abc"], None),
        (earlier("a"), [("a", ONE, False), ("b", ONE, True), ("c", ONE, True)], None),
        (earlier("abc"), [(city, ONE, True) for city in "def"], None),
        (earlier("abc"), [], None),
    ],
)
def test_a_list_that_comes_back_is_named_once(
    caplog: pytest.LogCaptureFixture,
    past: Past,
    requests: list[tuple[str, str, bool]],
    named: str | None,
) -> None:
    caplog.set_level(logging.WARNING, "scrapy_resume")
    met(start_list(past), requests)
    assert len(caplog.messages) == (named is not None)
    assert named is None or f"{named}. They are fetched" in caplog.text
    assert past.asked == any(not known for _, _, known in requests)


def test_the_first_run_of_a_job_asks_nothing() -> None:
    past = earlier("abc")
    found = start_list(past, began=True)
    met(found, [(city, ONE, False) for city in "abc"])
    assert not past.asked
    assert not found.expected


def test_an_endless_list_is_compared_before_its_end(caplog: pytest.LogCaptureFixture) -> None:
    found = start_list(past := earlier("abc"))
    for number in range(LONG_LIST):
        assert not past.asked
        found.expect(number, ONE, payload("a", 2))
        found.settle(number, known=False)
    assert past.asked == 1
    assert "what differs is cb_kwargs['at']" in caplog.text
