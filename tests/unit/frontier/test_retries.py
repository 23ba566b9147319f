"""How long failed attempts wait, and what sites may say about it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from scrapy import Request
from scrapy.http import Response

from scrapy_resume.frontier.retries import JITTER, LONGEST_RETRY_AFTER_SECONDS, Backoff, retry_after
from scrapy_resume.frontier.row import Row

SLACK_SECONDS = 1.0


def row(retry_times: int = 0, retry_after: float = 0.0) -> Row:
    made = Row(1, bytes(20), recorded=True)
    made.retry_times, made.retry_after = retry_times, retry_after
    return made


def retry(times: object) -> Request:
    return Request("http://a.test", meta={"retry_times": times})


def answer(value: str | None, status: int = 429) -> Response:
    headers = {} if value is None else {"Retry-After": value}
    return Response("http://a.test", status=status, headers=headers)


@pytest.mark.parametrize(("failures", "expected"), [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0)])
def test_the_wait_doubles_and_is_a_little_longer_at_times(failures: int, expected: float) -> None:
    waits = [Backoff(2, 600).seconds(failures) for _ in range(200)]
    assert all(expected <= wait <= expected * (1 + JITTER) for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize("failures", [4, 10, 1_000_000])
def test_the_wait_has_a_limit(failures: int) -> None:
    waits = [Backoff(2, 10).seconds(failures) for _ in range(200)]
    assert all(10 * (1 - JITTER) <= wait <= 10 for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize("times", [None, 0, 1, "2", [3]])
def test_what_is_no_retry_does_not_wait(times: object) -> None:
    assert Backoff(5, 600).not_before(retry(times), row(retry_times=1, retry_after=9e9)) == 0


def test_what_nobody_knows_the_parent_of_does_not_wait() -> None:
    assert Backoff(5, 600).not_before(retry(3), None) == 0


def test_a_retry_waits_and_longer_if_the_site_says_so() -> None:
    now = time.time()
    assert Backoff(5, 600).not_before(retry(1), row()) == pytest.approx(now + 5.6, abs=1.6)
    asked = row(retry_after=now + 1_000)
    assert Backoff(5, 600).not_before(retry(1), asked) == now + 1_000


def test_without_a_delay_only_the_site_makes_a_retry_wait() -> None:
    now = time.time()
    assert Backoff(0, 600).not_before(retry(1), row()) == 0
    assert Backoff(0, 600).not_before(retry(1), row(retry_after=now - 1)) == 0
    assert Backoff(0, 600).not_before(retry(1), row(retry_after=now + 50)) == now + 50


@pytest.mark.parametrize("status", [429, 503])
def test_the_site_says_when_in_seconds_or_by_a_date(status: int) -> None:
    now = time.time()
    for value in ("120", " 120 ", formatdate(now + 120, usegmt=True)):
        assert retry_after(answer(value, status)) == pytest.approx(now + 120, abs=2)


@pytest.mark.parametrize("status", [200, 301, 404, 500])
def test_elsewhere_the_header_means_something_else(status: int) -> None:
    assert retry_after(answer("120", status)) == 0


@pytest.mark.parametrize(
    "value",
    [None, "", "0", "-5", "soon", "1.5", "Wed, 99 Foo 2026 25:61:61 GMT", "\u0662", "1e3"],
)
def test_what_makes_no_sense_is_not_obeyed(value: str | None) -> None:
    assert retry_after(answer(value)) == 0


def test_a_date_that_is_past_is_not_waited_for() -> None:
    assert retry_after(answer(formatdate(time.time() - 60, usegmt=True))) == 0


@pytest.mark.parametrize("value", ["9" * 400, "99999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_for_longer_than_a_day(value: str) -> None:
    expected = time.time() + LONGEST_RETRY_AFTER_SECONDS
    assert retry_after(answer(value)) == pytest.approx(expected, abs=SLACK_SECONDS)


def test_a_date_is_by_the_clock_of_the_site() -> None:
    now = time.time()
    for skew_seconds in (-3_600, 0, 3_600):
        asked = formatdate(now + skew_seconds + 120, usegmt=True)
        response = answer(asked)
        response.headers["Date"] = formatdate(now + skew_seconds, usegmt=True)
        assert retry_after(response) == pytest.approx(now + 120, abs=2)


@pytest.mark.parametrize("date", ["soon", "Wed, 99 Foo 2026 25:61:61 GMT"])
def test_without_a_date_of_the_site_its_clock_is_believed_to_be_right(date: str) -> None:
    now = time.time()
    response = answer(formatdate(now + 120, usegmt=True))
    response.headers["Date"] = date
    assert retry_after(response) == pytest.approx(now + 120, abs=2)


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        now = time.time()
        text = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(now + 120))
        assert retry_after(answer(text)) == pytest.approx(now + 120, abs=2)
    finally:
        monkeypatch.undo()
        time.tzset()
