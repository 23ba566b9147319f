from __future__ import annotations

import pytest

from scrapy_resume.model import Counts
from scrapy_resume.reporting.progress import (
    LineSchedule,
    Progress,
    ended_and_whole,
    percent,
    progress_of,
)


def test_the_line_has_the_form_that_the_log_shows() -> None:
    progress = Progress(5_000, 11_000, 0.982, 42.3 * 60, 144.0)
    assert progress.line() == "45.5% (5000/11000) | success 98.2% | 42.3 items/s | ETA 2.4 min"


def test_what_is_not_known_yet_is_said_so() -> None:
    progress = Progress(0, 0, None, None, None)
    assert progress.line() == "0.0% (0/0) | success unknown | 0.0 items/s | ETA unknown"


@pytest.mark.parametrize(("expected", "shown"), [(None, 300), (1_000.0, 1_000), (200, 300)])
def test_the_whole_is_what_is_known_or_expected(expected: float | None, shown: int) -> None:
    counts = Counts(pending=150, leased=10, done=100, failed=20, parked=5, ignored=15)
    assert ended_and_whole(counts, expected) == (140, shown)
    requests = {"total": 300, "pending": 150, "leased": 10}
    rates = {"success_rate": 0.8, "items_per_minute": 60.0, "eta_seconds": 3.0}
    progress = progress_of({"requests": requests, "expected_total": expected, **rates})
    assert progress == Progress(140, shown, 0.8, 60.0, 3.0)
    assert progress.share == 140 / shown


def test_only_a_whole_is_shown_as_100_percent() -> None:
    assert percent(1.0) == "100.0%"
    assert percent(0.9999) == "99.9%"
    assert percent(0.0) == "0.0%"
    assert percent(None) == "-"


@pytest.mark.parametrize(
    ("items_of_a_page", "lines"), [(0, 10), (1, 10), (7, 70), (100, 1_000), (3, 30)]
)
def test_a_line_is_due_after_so_many_pages_or_items_whichever_come_first(
    items_of_a_page: int, lines: int
) -> None:
    schedule, logged = LineSchedule(every=100, now=0.0), 0
    for _ in range(1_000):
        for count in (schedule.page, *[schedule.item] * items_of_a_page):
            if count():
                logged += 1
                schedule.logged(now=1.0)
    assert logged == pytest.approx(lines, abs=max(1, lines // 50))


def test_a_line_is_due_once_a_minute() -> None:
    schedule = LineSchedule(every=3, now=100.0)
    schedule.logged(now=110.0)
    assert not schedule.page()
    assert not schedule.is_due(now=169.9)
    assert schedule.is_due(now=170.0)
