"""How long failed attempts wait."""

from __future__ import annotations

import pytest
from scrapy import Request

from scrapy_resume.frontier.retries import JITTER, Backoff
from scrapy_resume.frontier.row import Row
from tests.support.clock import ManualClock

CLOCK = ManualClock()


def row(retry_times: int = 0, retry_after: float = 0.0) -> Row:
    made = Row(1, bytes(20), recorded=True)
    made.retry_times, made.retry_after = retry_times, retry_after
    return made


def retry(times: object) -> Request:
    return Request("http://a.test", meta={"retry_times": times})


@pytest.mark.parametrize(("failures", "expected"), [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0)])
def test_the_wait_doubles_and_is_a_little_longer_at_times(failures: int, expected: float) -> None:
    waits = [Backoff(2, 600, CLOCK).seconds(failures) for _ in range(200)]
    assert all(expected <= wait <= expected * (1 + JITTER) for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize("failures", [4, 10, 1_000_000])
def test_the_wait_has_a_limit(failures: int) -> None:
    waits = [Backoff(2, 10, CLOCK).seconds(failures) for _ in range(200)]
    assert all(10 * (1 - JITTER) <= wait <= 10 for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize("times", [None, 0, 1, "2", [3]])
def test_what_is_no_retry_does_not_wait(times: object) -> None:
    assert Backoff(5, 600, CLOCK).not_before(retry(times), row(retry_times=1, retry_after=9e9)) == 0


def test_what_nobody_knows_the_parent_of_does_not_wait() -> None:
    assert Backoff(5, 600, CLOCK).not_before(retry(3), None) == 0


def test_a_retry_waits_and_longer_if_the_site_says_so() -> None:
    now = CLOCK.now
    assert Backoff(5, 600, CLOCK).not_before(retry(1), row()) == pytest.approx(now + 5.6, abs=1.6)
    asked = row(retry_after=now + 1_000)
    assert Backoff(5, 600, CLOCK).not_before(retry(1), asked) == now + 1_000


def test_without_a_delay_only_the_site_makes_a_retry_wait() -> None:
    now = CLOCK.now
    assert Backoff(0, 600, CLOCK).not_before(retry(1), row()) == 0
    assert Backoff(0, 600, CLOCK).not_before(retry(1), row(retry_after=now - 1)) == 0
    assert Backoff(0, 600, CLOCK).not_before(retry(1), row(retry_after=now + 50)) == now + 50
