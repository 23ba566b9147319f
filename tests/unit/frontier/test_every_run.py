from __future__ import annotations

from typing import Any

import pytest
from scrapy import Request

from scrapy_resume.frontier.every_run import (
    EveryRunGate,
    belongs_to_every_run,
    form_of,
    is_for_every_run,
)
from scrapy_resume.frontier.row import Row


@pytest.mark.parametrize(
    ("meta", "expected"), [({}, False), ({"resume_every_run": True}, True), (None, False)]
)
def test_the_spider_says_which_requests_come_first_in_every_run(
    meta: dict[str, object] | None, expected: bool
) -> None:
    assert is_for_every_run(Request("http://a.test", meta=meta)) is expected


def test_others_wait_until_all_of_them_have_ended() -> None:
    gate = EveryRunGate(awaited=True)
    gate.arrived(1)
    gate.arrived(2)
    assert not gate.awaited
    gate.ended(1)
    gate.ended(7)
    assert gate.is_closed
    gate.ended(2)
    assert not gate.is_closed


def test_a_run_stops_awaiting_what_does_not_arrive_and_says_so_once() -> None:
    gate = EveryRunGate(awaited=True)
    assert gate.stop_awaiting() is True
    assert not gate.awaited
    assert gate.stop_awaiting() is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"method": "POST"}, True),
        ({"method": "PUT"}, True),
        ({"method": "GET"}, False),
        ({"method": "HEAD"}, False),
        ({"method": "POST", "meta": {"resume_every_run": False}}, False),
    ],
)
def test_the_form_that_a_login_sends_belongs_to_it(given: dict[str, Any], expected: bool) -> None:
    request = Request("http://a.test/login", **given)
    login = Row(1, b"login", recorded=True)
    assert not belongs_to_every_run(request, login), "that one is no login"
    login.every_run = True
    assert belongs_to_every_run(request, login) is expected
    assert not belongs_to_every_run(request, None)


def test_a_form_is_the_same_whatever_its_token_is() -> None:
    url = "http://a.test/login"
    first = form_of(Request(f"{url}?sid=1", method="POST", body="token=1"))
    assert first == form_of(Request(f"{url}?sid=2", method="POST", body="token=2"))
    assert first != form_of(Request("http://a.test/code", method="POST"))
    assert first != form_of(Request(url, method="PUT"))
