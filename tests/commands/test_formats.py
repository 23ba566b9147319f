from __future__ import annotations

import pytest

from scrapy_resume.commands.formats import duration, rate


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
