"""Very many start requests, and a store that does not answer: memory stays flat, all goes on.

A short form of ``benchmarks/million_starts.py``.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.support.kills import Kill, Live, in_turn, when_logged
from tests.support.launcher import Launcher
from tests.support.many_starts import BUSY_SECONDS, THE_END, progress_of
from tests.support.runs import Run, Workplace, job_store, options_of, watched
from tests.support.site import REPO, Site

SPIDER = REPO / "tests" / "support" / "many_starts.py"
COUNT = 16_000
WARM = 5_000
OUTAGE_SECONDS = 4.0
BYTES_ALLOWED = 10_000_000
"""Eleven thousand requests kept in memory would take 22 MB."""

KEPT_WAITING = "The crawl waits for the store"
GOES_ON = "The store answers again"


def file_of(place: Workplace) -> Path:
    [path] = place.store.glob("*.sqlite3")
    return path


def outage(place: Workplace, after: int) -> Kill:
    """Another process has the job's file for a while; nothing is killed."""

    def keep_locked(live: Live) -> None:
        assert live.until(lambda: yielded(live.log) >= after)
        with closing(
            sqlite3.connect(file_of(place), timeout=30, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            until = time.monotonic() + OUTAGE_SECONDS
            assert live.until(lambda: time.monotonic() >= until)
            connection.execute("ROLLBACK")

    return keep_locked


def yielded(log: Path) -> int:
    steps = progress_of(log.read_text())
    return steps[-1].yielded if steps else 0


def crawl(
    place: Workplace, site: Site, launcher: Launcher, kill: Kill | None, **settings: Any
) -> Run:
    given = {
        "ADDONS": '{"scrapy_resume.Addon": 500}',
        "RESUME_STORE": place.location,
        "LOG_LEVEL": "INFO",
        **settings,
    }
    words = ["runspider", str(SPIDER), *options_of("-s", given)]
    words += options_of("-a", {"site": site.url, "count": COUNT, "kind": "both"})
    return watched(
        words,
        site=site,
        log=place.next_log(),
        folder=place.path,
        kill=kill,
        launcher=launcher,
        extra={BUSY_SECONDS: "0.5"},
        timeout_seconds=140,
    )


def growth(run: Run) -> int:
    """By how much the largest resident size grew after the first ten thousand requests."""
    peaks = dict(progress_of(run.text))
    return peaks[COUNT] - peaks[WARM]


@pytest.mark.sqlite
@pytest.mark.soak
def test_sixteen_thousand_start_requests_and_an_outage_leave_memory_flat(
    site: Site, place: Workplace, launcher: Launcher
) -> None:
    interrupted = in_turn(outage(place, after=7_000), when_logged(THE_END, signum=SIGTERM))
    run = crawl(place, site, launcher, interrupted)
    assert run.exit_code == 0, run.tail()
    assert KEPT_WAITING in run.text, run.tail()
    assert GOES_ON in run.text, run.tail()
    assert growth(run) < BYTES_ALLOWED
    assert_each_is_stored_once(place)

    to_the_end = {"DOWNLOADER_MIDDLEWARES": '{"tests.support.many_starts.IgnoreAll": 100}'}
    resumed = crawl(place, site, launcher, None, **to_the_end)
    assert resumed.is_finished, resumed.tail()
    assert f"'resume/start/known': {COUNT}" in resumed.text, resumed.tail()
    assert growth(resumed) < BYTES_ALLOWED
    assert_each_is_stored_once(place)
    [job] = job_store(place).jobs()
    assert job["status"] == "completed"
    assert job["requests"]["done"] + job["requests"]["ignored"] == COUNT


def assert_each_is_stored_once(place: Workplace) -> None:
    [job] = job_store(place).jobs()
    urls = Counter(row["url"] for row in job_store(place).requests(job["job"]))
    assert len(urls) == urls.total() == COUNT
