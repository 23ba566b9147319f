from __future__ import annotations

import pytest

from scrapy_resume.commands.formats import duration, eta, rate
from scrapy_resume.reporting.forecast import UNKNOWN, Forecast


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


@pytest.mark.parametrize(
    ("forecast", "eta_seconds", "shown"),
    [
        (UNKNOWN, None, None),
        (UNKNOWN, 0.0, None),
        (UNKNOWN, 120.0, "2 min"),
        (Forecast(600.0, None), 120.0, "over 10 min"),
        (Forecast(600.0, 605.0), 120.0, "10 min"),
        (Forecast(2_400.0, 4_200.0), 120.0, "40 min to 1 h 10 min"),
    ],
)
def test_an_eta_is_a_range_a_bound_or_what_is_known(
    forecast: Forecast, eta_seconds: float | None, shown: str | None
) -> None:
    assert eta(forecast, eta_seconds) == shown


def test_a_rate_has_as_many_digits_as_matter() -> None:
    assert [rate(None), rate(0.04), rate(99.9), rate(12_345.6)] == ["-", "0.0", "99.9", "12,346"]
