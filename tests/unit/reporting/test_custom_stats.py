from __future__ import annotations

import asyncio
import json
import logging
from itertools import count
from typing import Any

import pytest
from scrapy import Spider
from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.test import get_crawler

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.reporting.custom_stats import ASKED_SECONDS, CustomStats, check_total
from scrapy_resume.reporting.documents import custom_shares, shown_custom, summed_custom
from scrapy_resume.store.contract import Batch

JOB = {"job": "books#1", "requests": {"done": 3}}


def metrics_of(total: Any = None, expected: float | None = None) -> CustomStats:
    spider = Spider("books", resume_total=total)
    seconds = count(step=ASKED_SECONDS)
    stats = MemoryStatsCollector(get_crawler())
    return CustomStats(stats, spider, expected, clock=lambda: next(seconds))


def batch_of(found: CustomStats) -> Batch:
    batch = Batch(next_id=1)
    found.complete(batch, lambda: JOB)
    return batch


def test_only_stats_under_custom_are_kept_and_only_when_they_change() -> None:
    found = metrics_of()
    assert batch_of(found).progress.custom is None
    found._stats.inc_value("custom/frames", 3)
    found._stats.inc_value("other/frames", 3)
    assert json.loads(batch_of(found).progress.custom or "") == {"custom/frames": 3}
    assert batch_of(found).progress.custom is None
    found._stats.inc_value("custom/frames")
    assert json.loads(found.changed_custom() or "") == {"custom/frames": 4}


def test_a_value_that_json_cannot_hold_is_kept_as_text() -> None:
    found = metrics_of()
    found._stats.set_value("custom/last", {1, 2})
    assert json.loads(batch_of(found).progress.custom or "") == {"custom/last": "{1, 2}"}


def test_metrics_are_summed_over_runs_and_of_others_the_latest_is_shown() -> None:
    runs = [
        {"custom": {"custom/frames": 3, "custom/model": "a", "custom/on": True}},
        {},
        {"custom": {"custom/frames": 1.5, "custom/model": "b", "custom/new": 1}},
    ]
    assert summed_custom(runs) == {"frames": 4.5, "model": "b", "on": True, "new": 1}


def test_a_total_is_written_once_and_again_when_it_changes() -> None:
    found = metrics_of(100)
    assert batch_of(found).progress.expected_total == 100.0
    assert batch_of(found).progress.expected_total is None
    found._spider.resume_total = 120  # type: ignore[attr-defined]
    assert batch_of(found).progress.expected_total == 120.0
    assert found.expected_total == 120.0


def test_what_the_job_has_already_is_not_written_again() -> None:
    assert batch_of(metrics_of(100, expected=100.0)).progress.expected_total is None


def test_a_function_is_given_the_job() -> None:
    found = metrics_of(lambda job: 10 * job["requests"]["done"])
    assert batch_of(found).progress.expected_total == 30.0
    assert batch_of(metrics_of(lambda job: None)).progress.expected_total is None


def test_a_function_is_called_no_more_than_once_a_second() -> None:
    now = 7.0
    calls = []
    spider = Spider("books", resume_total=calls.append)
    found = CustomStats(MemoryStatsCollector(get_crawler()), spider, None, clock=lambda: now)
    batch_of(found)
    batch_of(found)
    now += ASKED_SECONDS
    batch_of(found)
    assert calls == [JOB, JOB]


def cancelled(job: Any) -> float:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    "total", [lambda job: 1 / 0, lambda job: "many", lambda job: -1, cancelled]
)
def test_a_function_that_fails_is_logged_once_and_the_crawl_goes_on(
    total: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = metrics_of(total)
    with caplog.at_level(logging.ERROR):
        assert batch_of(found).progress.expected_total is None
        assert batch_of(found).progress.expected_total is None
    assert len(caplog.records) == 1
    assert "books.resume_total" in caplog.text


@pytest.mark.parametrize("total", ["many", True, -1, float("nan"), float("inf"), []])
def test_a_total_that_is_none_is_refused_at_the_start(total: Any) -> None:
    with pytest.raises(ConfigurationError, match="resume_total of spider 'books' is"):
        check_total(Spider("books", resume_total=total))


@pytest.mark.parametrize("total", [None, 0, 5, 1.5, lambda job: 1])
def test_a_total_that_can_be_one_is_not(total: Any) -> None:
    check_total(Spider("books", resume_total=total))


@pytest.mark.parametrize(
    ("custom", "shares"),
    [
        ({"frames": 400, "frames/nko": 10}, {"frames/nko": 0.025}),
        ({"frames/nko": 10, "frames": 400}, {"frames/nko": 0.025}),
        (
            {"frames": 8, "frames/ok": 6, "frames/ok/late": 3},
            {"frames/ok": 0.75, "frames/ok/late": 0.5},
        ),
        ({"frames": 8, "frames/ok/late": 2}, {"frames/ok/late": 0.25}),
        ({"frames": 4, "frames/detections": 9}, {"frames/detections": 2.25}),
        ({"frames": 0, "frames/nko": 0}, {}),
        ({"frames": "many", "frames/nko": 1}, {}),
        ({"frames": 3, "frames/last": "a"}, {}),
        ({"frames": 3, "nko": 1, "framesets/a": 1}, {}),
        ({"frames": True, "frames/a": 1}, {}),
    ],
)
def test_a_figure_that_is_named_below_another_is_a_part_of_it(
    custom: dict[str, Any], shares: dict[str, float]
) -> None:
    assert custom_shares(custom) == shares


def test_a_share_is_shown_beside_the_figure() -> None:
    custom = {"frames": 400, "frames/nko": 10, "last": "a"}
    shown = dict(shown_custom(custom, custom_shares(custom)))
    assert shown == {"frames": "400", "frames/nko": "10 (2.5%)", "last": "a"}
    assert dict(shown_custom(custom, None))["frames/nko"] == "10"
