"""Until when something waits, whatever time was stored."""

from __future__ import annotations

import json

import pytest

from scrapy_resume.store.contract import HostNote, WaitLimits
from scrapy_resume.store.contract.waits import bounded, bounded_host, shifted_host

NOW = 1_000_000.0
LIMITS = WaitLimits(retry_seconds=60, cooldown_seconds=600, retry_after_seconds=86_400)


@pytest.mark.parametrize(
    ("moment", "stored_at", "wanted"),
    [
        (NOW - 5, 0.0, NOW - 5),
        (NOW + 5, 0.0, NOW + 5),
        (NOW + 61, 0.0, NOW + 60),
        (NOW + 50, NOW - 10, NOW + 50),
        (NOW + 18_010, NOW + 18_000, NOW + 10),
        (NOW + 19_000, NOW + 18_000, NOW + 60),
        (NOW + 5, NOW + 18_000, NOW),
        (0.0, NOW + 18_000, 0.0),
    ],
    ids=[
        "past",
        "allowed",
        "too long",
        "stored before",
        "by a fast clock",
        "too long by a fast clock",
        "over by a fast clock",
        "none",
    ],
)
def test_stored_time_is_bounded_from_now_on(moment: float, stored_at: float, wanted: float) -> None:
    assert bounded(moment, NOW, 60, stored_at) == wanted


def note(**values: float) -> HostNote:
    return HostNote("shop", json.dumps({"probes": 2, **values}))


def test_host_waits_as_the_limit_of_each_kind_allows() -> None:
    host = bounded_host(note(open_until=NOW + 9_000, wait_until=NOW + 9e5, at=NOW), NOW, LIMITS)
    assert json.loads(host.record) == {
        "probes": 2,
        "open_until": NOW + 600,
        "wait_until": NOW + 86_400,
        "at": NOW,
    }


def test_host_that_may_wait_keeps_its_record() -> None:
    for may in (note(open_until=NOW + 600), note(wait_until=NOW + 9_000, at=NOW - 5), note()):
        assert bounded_host(may, NOW, LIMITS) is may


def test_host_is_shifted_with_all_its_times() -> None:
    host = note(open_until=NOW + 5, wait_until=0, at=NOW)
    assert json.loads(shifted_host(host, -100).record) == {
        "probes": 2,
        "open_until": NOW - 95,
        "wait_until": 0,
        "at": NOW - 100,
    }
