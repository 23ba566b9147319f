"""Arrivals that are not admitted as usual are logged, counted, and reported as Scrapy does."""

from __future__ import annotations

import logging
from typing import cast

import pytest
from scrapy import Request
from scrapy.statscollectors import StatsCollector

from scrapy_resume.errors import NotRecordableError
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import START
from scrapy_resume.tracking.arrival_log import ArrivalLog
from scrapy_resume.tracking.memory_only import KINDS
from scrapy_resume.tracking.start_list import StartList

REQUEST = Request("http://a.test/1")
ERROR = NotRecordableError("callback is a lambda")


class Stats(dict[str, int]):
    def inc_value(self, name: str) -> None:
        self[name] = self.get(name, 0) + 1


class Bench:
    """An arrival log, with the stats and the drops that it reports to."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.reported: list[tuple[str, Request]] = []
        self.log = ArrivalLog(cast(StatsCollector, self.stats), self, cast(StartList, None))

    def log_duplicate(self, request: Request) -> None:
        self.reported.append(("duplicate", request))

    def send_dropped(self, request: Request) -> None:
        self.reported.append(("dropped", request))


def parent(row_id: int) -> Row:
    return Row(row_id, bytes(20), recorded=True)


def test_the_signal_is_sent_only_where_the_engine_believes_a_request_to_be_scheduled() -> None:
    bench = Bench()
    bench.log.duplicate(REQUEST)
    assert bench.reported == [("duplicate", REQUEST)]
    bench.log.late_duplicate(REQUEST)
    assert bench.reported[1:] == [("duplicate", REQUEST), ("dropped", REQUEST)]
    bench.log.skipped(REQUEST)
    assert bench.reported[3:] == [("dropped", REQUEST)]


def test_each_kind_has_its_stat() -> None:
    bench = Bench()
    bench.log.skipped(REQUEST)
    bench.log.known_start()
    bench.log.memory_only(REQUEST, None, ERROR)
    assert bench.stats == {
        "resume/delta/skipped": 1,
        "resume/start/known": 1,
        "resume/unrecorded": 1,
    }


@pytest.mark.parametrize(
    ("row", "consequence"),
    [
        (parent(5), "the page that yielded it is fetched again after a crash"),
        (parent(START), "start() yields it again in the next run"),
        (None, "it is lost then"),
    ],
)
def test_a_request_that_cannot_be_serialized_is_warned_of_with_the_consequence(
    row: Row | None, consequence: str, caplog: pytest.LogCaptureFixture
) -> None:
    Bench().log.memory_only(REQUEST, row, ERROR)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "cannot be serialized (callback is a lambda)" in record.message
    assert consequence in record.message


def test_each_kind_of_request_is_warned_of_once_and_kinds_have_a_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    for number in range(KINDS + 10):
        for _ in range(2):
            request = REQUEST.replace(callback=named(f"parse_{number}"))
            bench.log.memory_only(request, None, ERROR)
    assert len(caplog.records) == KINDS
    assert bench.stats["resume/unrecorded"] == 2 * (KINDS + 10)


def named(name: str) -> object:
    """A callback with that name; each is a function of its own."""

    def callback() -> None:
        """It is never called."""

    callback.__qualname__ = name
    return callback
