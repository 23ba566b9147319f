"""A clock that is wrong, or set, makes no crawl wait for longer than its settings say."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.kills import Live
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings
from tests.support.wrong_clock import ADDONS, CLOCK_FILE

HOURS = 5 * 3600
LATE_SECONDS = 10.0
FAILS_ONCE = "/flaky/1?times=1"
WITH_ADDON = '{"scrapy_resume.Addon": 500}'
TAKES_OVER = {"RESUME_FORCE": True, "CLOSESPIDER_PAGECOUNT": 6}
LIMITED_ONCE = "/limited/1?times=1&after=2"


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    return found


class Clock:
    """The clock of the machine that crawls."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, ahead_seconds: float) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(str(ahead_seconds))
        new.replace(self.file)


@pytest.fixture
def clock(place: Workplace) -> Clock:
    return Clock(place.path / "clock")


def crawl(wanderings: Wanderings, clock: Clock, path: str, **how: Any) -> Run:
    settings = {
        "RESUME_RETRY_DELAY": 1.5,
        "RESUME_RETRY_DELAY_MAX": 3,
        "RESUME_RETRY_WAIT": 20,
        CLOCK_FILE: clock.file,
        **how.pop("settings", {}),
    }
    words = ["-s", f"ADDONS={ADDONS}", "-a", f"paths={path}"]
    return wanderings.run(settings, *words, **how)


def waits(wanderings: Wanderings) -> bool:
    return any(row["not_before"] is not None for row in wanderings.requests())


@pytest.mark.parametrize("path", [FAILS_ONCE, pytest.param(LIMITED_ONCE, marks=pytest.mark.soak)])
def test_page_that_failed_while_the_clock_was_fast_waits_no_longer_than_it_was_to(
    wanderings: Wanderings, clock: Clock, path: str
) -> None:
    clock.set(HOURS)
    first = crawl(wanderings, clock, path, settings={"RESUME_RETRY_WAIT": 0})
    assert wanderings.job()["reason"] == "resume_later", first.tail()
    assert waits(wanderings)
    clock.set(0)
    run = crawl(wanderings, clock, path)
    assert run.is_finished, run.tail()
    assert wanderings.job()["status"] == "completed"
    assert run.ended_at - run.started_at < 3 + LATE_SECONDS
    assert wanderings.job()["elapsed_seconds"] > 0


@pytest.mark.parametrize(
    ("before", "after"), [(HOURS, 0), (0, HOURS), (HOURS, -HOURS)], ids=["back", "forward", "far"]
)
def test_clock_that_is_set_while_a_page_waits_changes_nothing(
    wanderings: Wanderings, clock: Clock, before: int, after: int
) -> None:
    clock.set(before)

    def set_the_clock(live: Live) -> None:
        assert live.until(lambda: bool(wanderings.jobs()) and waits(wanderings))
        clock.set(after)

    run = crawl(wanderings, clock, LIMITED_ONCE, kill=set_the_clock)
    assert run.is_finished, run.tail()
    first, second = (hit for hit in wanderings.site.hits() if hit.url == LIMITED_ONCE)
    assert first.answered_at is not None
    assert 2 <= second.asked_at - first.answered_at < 2 + LATE_SECONDS
    job = wanderings.job()
    assert job["status"] == "completed"
    assert 1.9 < job["elapsed_seconds"] < 3 + LATE_SECONDS
    assert job["pages_per_minute"] > 0


# A process that was frozen


def test_frozen_process_whose_job_was_taken_over_sends_nothing_more(
    wanderings: Wanderings,
) -> None:
    """When it was stopped, requests waited in its downloader for the delay of their host."""
    paths = ",".join(f"/leaf/{number}" for number in range(200))
    words = ["-s", f"ADDONS={WITH_ADDON}", "-a", f"paths={paths}"]
    settings = {
        "DOWNLOAD_DELAY": 0.2,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
        "RESUME_ORPHAN_TIMEOUT": 2,
    }
    sent: list[int] = []

    def freeze(live: Live) -> None:
        assert live.until(lambda: live.hits() >= 5)
        live.send(signal.SIGSTOP)
        took_over = wanderings.run({**settings, **TAKES_OVER}, *words, launcher=None)
        assert took_over.exit_code == 0, took_over.tail()
        sent.append(len(wanderings.site.hits()))
        live.send(signal.SIGCONT)

    run = wanderings.run(settings, *words, kill=freeze)
    assert run.exit_code == 1, run.tail()
    assert "was taken over by another process" in run.text
    assert sent == [len(wanderings.site.hits())], "it sent something after it came back"
