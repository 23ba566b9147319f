from __future__ import annotations

import pytest

from scrapy_resume.commands.formats import duration, error_of, rate, shortened
from scrapy_resume.commands.units import summary


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (95, "1 min 35 s"),
        (599.9, "10 min"),
        (3_599, "1 h 0 min"),
        (3_725, "1 h 2 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_is_as_exact_as_it_matters(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_rate_has_as_many_digits_as_matter() -> None:
    assert [rate(None), rate(0.04), rate(99.9), rate(12_345.6)] == ["-", "0.0", "99.9", "12,346"]


@pytest.mark.parametrize(
    ("message", "longest", "shown"),
    [
        ("HTTP 503", 8, "HTTP 503"),
        ("took longer than 30.0 seconds", 20, "took longer than..."),
        ("took longer than 30.0 seconds", 22, "took longer than 30..."),
        ("two\nlines", 20, "two lines"),
        (None, 20, ""),
    ],
)
def test_a_message_that_was_cut_says_so(message, longest, shown):
    assert shortened(message, longest) == shown
    assert len(shown) <= longest


@pytest.mark.parametrize(
    ("error", "status", "message", "shown"),
    [
        (
            "HttpError",
            503,
            "HTTP 503 Service Unavailable",
            "HttpError: HTTP 503 Service Unavailable",
        ),
        ("HttpError", 503, None, "HttpError: HTTP 503"),
        ("ValueError", 200, "no price", "ValueError: HTTP 200 no price"),
        ("TimeoutError", None, "too slow", "TimeoutError: too slow"),
        ("TimeoutError", None, "", "TimeoutError"),
        (None, None, None, "-"),
    ],
)
def test_an_error_names_its_http_status_once(error, status, message, shown):
    row = {"error": error, "http_status": status, "error_message": message}
    assert error_of(row, 60) == shown


def test_units_by_state_are_those_of_the_bar_beside_them():
    def states(**counts):
        names = ("pending", "in_progress", "completed", "partial", "failed", "parked")
        return {name: counts.get(name, 0) for name in names} | {"total": sum(counts.values())}

    every = states(in_progress=2, completed=1)
    document = {"units": every, "named_units": states(in_progress=2)}
    assert summary(document) == "in_progress 2"
    assert summary({**document, "named_units": states()}) == "in_progress 2  completed 1"
    assert summary({"units": states(pending=1), "named_units": states(pending=1)}) is None
    assert summary({"units": None, "named_units": None}) is None
