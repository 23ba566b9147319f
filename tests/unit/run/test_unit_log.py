"""A line for each named unit that ends."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.run.unit_log import LINES_A_SECOND, UnitLog, line_of, units_in_work
from scrapy_resume.store.contract import EndedUnit
from tests.support.clock import ManualClock


def ended(name: str = "FORD F-150", **counts: int) -> EndedUnit:
    zero = dict.fromkeys(("done", "failed", "parked", "ignored", "items", "items_failed"), 0)
    return EndedUnit(name, **{**zero, **counts})


@pytest.mark.parametrize(
    ("unit", "line"),
    [
        (ended(done=2, items=100), "FORD F-150: 2 pages, 100 items"),
        (ended(done=1, items=1), "FORD F-150: 1 page, 1 item"),
        (ended(done=1_200, failed=3), "FORD F-150: 1,200 pages, 0 items, 3 failed"),
        (ended(parked=2), "FORD F-150: 0 pages, 0 items, 2 parked"),
        (ended(done=1, items=4, items_failed=1), "FORD F-150: 1 page, 4 items, 1 item lost"),
        (ended("a\x1b[2J\nb", done=1), "a?[2J?b: 1 page, 0 items"),
    ],
)
def test_the_line_has_pages_and_items_and_what_was_lost(unit: EndedUnit, line: str) -> None:
    assert line_of(unit) == line


def test_very_many_small_units_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(1_000.0)
    log = UnitLog(clock)
    with caplog.at_level(logging.INFO, logger="scrapy_resume"):
        log.ended([ended(f"unit {number}", done=1) for number in range(500)])
        log.tick()
        assert len(caplog.records) == LINES_A_SECOND
        clock.now += 1.0
        log.tick()
        log.ended([ended("another", done=1)])
        log.say_rest()
    words = [record.getMessage() for record in caplog.records[LINES_A_SECOND:]]
    assert words == [
        "and 490 more units have ended: scrapy resume units",
        "unit another: 1 page, 0 items",
    ]


def test_what_is_in_work_are_units_that_have_a_name_each_once() -> None:
    rows: Any = [SimpleNamespace(unit=unit) for unit in ("b", 7, "a", "b")]
    assert list(units_in_work(dict(enumerate(rows)))) == ["b", "a"]
