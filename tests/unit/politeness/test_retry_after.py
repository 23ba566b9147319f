"""What sites say about when to come back."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from scrapy.http import Response

from scrapy_resume.politeness.host_state import Host
from scrapy_resume.politeness.retry_after import LONGEST_RETRY_AFTER_SECONDS, delay, retry_after

SLACK_SECONDS = 1.0


def answer(value: str | None, status: int = 429) -> Response:
    headers = {} if value is None else {"Retry-After": value}
    return Response("http://a.test", status=status, headers=headers)


@pytest.mark.parametrize("status", [429, 503])
def test_the_site_says_when_in_seconds_or_by_a_date(status: int) -> None:
    now = time.time()
    for value in ("120", " 120 ", formatdate(now + 120, usegmt=True)):
        assert retry_after(answer(value, status), time.time()) == pytest.approx(now + 120, abs=2)


@pytest.mark.parametrize("status", [200, 301, 404, 500])
def test_elsewhere_the_header_means_something_else(status: int) -> None:
    assert retry_after(answer("120", status), time.time()) == 0


@pytest.mark.parametrize(
    "value",
    [None, "", "0", "-5", "soon", "1.5", "Wed, 99 Foo 2026 25:61:61 GMT", "\u0662", "1e3"],
)
def test_what_makes_no_sense_is_not_obeyed(value: str | None) -> None:
    assert retry_after(answer(value), time.time()) == 0


def test_a_date_that_is_past_is_not_waited_for() -> None:
    assert retry_after(answer(formatdate(time.time() - 60, usegmt=True)), time.time()) == 0


@pytest.mark.parametrize("value", ["9" * 400, "99999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_for_longer_than_a_day(value: str) -> None:
    expected = time.time() + LONGEST_RETRY_AFTER_SECONDS
    assert retry_after(answer(value), time.time()) == pytest.approx(expected, abs=SLACK_SECONDS)


def test_a_date_is_by_the_clock_of_the_site() -> None:
    now = time.time()
    for skew_seconds in (-3_600, 0, 3_600):
        asked = formatdate(now + skew_seconds + 120, usegmt=True)
        response = answer(asked)
        response.headers["Date"] = formatdate(now + skew_seconds, usegmt=True)
        assert retry_after(response, time.time()) == pytest.approx(now + 120, abs=2)


@pytest.mark.parametrize("date", ["soon", "Wed, 99 Foo 2026 25:61:61 GMT"])
def test_without_a_date_of_the_site_its_clock_is_believed_to_be_right(date: str) -> None:
    now = time.time()
    response = answer(formatdate(now + 120, usegmt=True))
    response.headers["Date"] = date
    assert retry_after(response, time.time()) == pytest.approx(now + 120, abs=2)


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        now = time.time()
        text = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(now + 120))
        assert retry_after(answer(text), time.time()) == pytest.approx(now + 120, abs=2)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_host_is_delayed_until_the_latest_time_that_it_has_named() -> None:
    host = Host("a")
    assert delay(host, 100.0)
    assert not delay(host, 50.0)
    assert delay(host, 200.0)
    assert host.blocked_until == 200.0
