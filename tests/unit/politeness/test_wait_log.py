"""A line for each wait for a host, with the seconds, and not one for each request."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from scrapy.http import Response

from scrapy_resume.politeness.wait_log import WaitLog, shown_seconds
from tests.support.clock import ManualClock

from .test_host_breaker import NOW, Watched, clock, watched

__all__ = ["clock", "watched"]

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The lines since it was called last."""
    caplog.set_level(logging.INFO, logger="scrapy_resume")

    def take() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return take


def limited(watched: Watched, seconds: str, status: int = 429) -> None:
    (row,) = watched.add("a")
    headers = {"Retry-After": seconds}
    watched.hosts.downloaded(row, response := Response(row.url, status=status, headers=headers))
    watched.hosts.answered(row, response)


def test_a_host_that_asks_for_a_pause_is_waited_for_in_one_line(
    clock: ManualClock, lines: Lines
) -> None:
    watched = Watched(clock, failures=0)
    for _ in range(8):
        limited(watched, "15")
        watched.clock.move(0.05)
    assert lines() == ["waiting 15 s for host a: HTTP 429"]


def test_the_next_pause_has_a_line_of_its_own(clock: ManualClock, lines: Lines) -> None:
    watched = Watched(clock, failures=0)
    for seconds, shown in (("15", "15 s"), ("7", "7 s"), ("7", "7 s")):
        limited(watched, seconds, status=503)
        assert lines() == [f"waiting {shown} for host a: HTTP 503"]
        watched.clock.move(float(seconds) + 0.1)


def test_a_pause_that_is_made_longer_is_told(watched: Watched, lines: Lines) -> None:
    limited(watched, "5")
    limited(watched, "60")
    assert lines() == ["waiting 5 s for host a: HTTP 429", "waiting 60 s for host a: HTTP 429"]


def test_a_breaker_that_opens_says_for_how_long(watched: Watched, lines: Lines) -> None:
    watched.fail(*watched.add("a", 3))
    (line,) = lines()
    assert line.startswith("waiting 100 s for host a: HTTP 503; it has failed 3 times in a row")


def test_a_retry_is_told_once_however_many_requests_fail(watched: Watched, lines: Lines) -> None:
    rows = watched.add("a", 2)
    for row in rows:
        watched.hosts.answered(row, Response(row.url, status=500))
        watched.hosts.retry_waits(row, watched.clock.time() + 5)
    assert lines() == ["waiting 5 s for host a: HTTP 500; its other requests go on"]


def test_retries_that_wait_ever_longer_are_told_and_those_that_do_not_are_not(
    clock: ManualClock, lines: Lines
) -> None:
    log = WaitLog(clock)
    log.trouble("a", "HTTP 429")
    told = []
    for seconds in (5, 5.9, 10, 6, 15, 15, 15):
        log.request_waits("a", clock.time() + seconds)
        told += [seconds] * len(lines())
        clock.move(seconds + 2)
    assert told == [5, 10, 15]
    clock.move(100)
    log.request_waits("a", clock.time() + 5)
    assert len(lines()) == 1, "after a quiet minute it is news again"


def test_the_retry_of_a_request_whose_host_pauses_is_no_second_line(
    watched: Watched, lines: Lines
) -> None:
    (row,) = watched.add("a")
    response = Response(row.url, status=429, headers={"Retry-After": "15"})
    watched.hosts.downloaded(row, response)
    watched.hosts.answered(row, response)
    watched.hosts.retry_waits(row, row.retry_after + 0.2)
    assert lines() == ["waiting 15 s for host a: HTTP 429"]


def test_a_wait_that_an_earlier_run_has_noted_is_told_when_the_crawl_goes_on(
    clock: ManualClock, lines: Lines
) -> None:
    first = Watched(clock)
    limited(first, "90")
    notes = first.hosts.take_changes()
    lines()
    clock.move(30)
    Watched(clock, notes=notes)
    assert lines() == ["waiting 60 s for host a: as was noted before this run"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (15.0, "15 s"),
        (14.96, "15 s"),
        (1.07, "1.1 s"),
        (5.0, "5 s"),
        (0.01, "0.1 s"),
        (-3, "0.1 s"),
    ],
)
def test_seconds_are_as_exact_as_they_matter(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) == shown


def test_passwords_in_errors_are_masked(clock: ManualClock, lines: Lines) -> None:
    log = WaitLog(clock)
    log.trouble("a", "ConnectError: http://me:secret@a/")
    log.host_waits("a", NOW + 9)
    assert "secret" not in "".join(lines())


@pytest.mark.parametrize("end", ["", ".", ". "])
def test_a_trouble_that_is_a_sentence_is_followed_by_no_second_stop(
    end: str, clock: ManualClock, lines: Lines
) -> None:
    waits = WaitLog(clock)
    waits.trouble("a", f"TimeoutError: took longer than 5.0 seconds{end}")
    waits.request_waits("a", clock.time() + 2)
    (line,) = lines()
    assert line.endswith("took longer than 5.0 seconds; its other requests go on")
