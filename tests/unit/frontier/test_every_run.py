from __future__ import annotations

import pytest
from scrapy import Request

from scrapy_resume.frontier.every_run import EveryRunGate, is_for_every_run


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
