"""When copies of a job are made, and what is said of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.test import get_crawler
from twisted.internet.defer import Deferred

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.run.backups import Backups
from scrapy_resume.store.contract.copies import OwnCopy
from tests.support.clock import ManualClock

INTERVAL_SECONDS = 100.0


class Bench:
    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.clock = ManualClock()
        self.stats = MemoryStatsCollector(get_crawler())
        self.took_seconds = 0.0
        self.error: BaseException | None = None
        self.made_at: list[float] = []
        self.given_up = 0
        self.waits: threading.Event | None = None
        self.backups = Backups(self._copy, interval_seconds, self.clock, self.stats)

    def _copy(self, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        if self.waits is not None:
            self.waits.wait(10)
            if is_stopped():
                self.given_up += 1
                return None
        if self.error is not None:
            raise self.error
        self.made_at.append(self.clock.now)
        return OwnCopy(self.clock.now, self.took_seconds, 4096)

    def move(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.join()

    def join(self) -> None:
        for thread in threading.enumerate():
            if thread.name == "scrapy-resume backup":
                thread.join(10)

    def finish(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.backups.finish())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ages(bench: Bench) -> list[float]:
    return [round(at - 1_000_000.0, 3) for at in bench.made_at]


def test_a_copy_is_made_every_interval(bench: Bench) -> None:
    bench.backups.start(None)
    for _ in range(4):
        bench.move(60)
    assert ages(bench) == [120.0, 240.0]
    assert bench.stats.get_value("resume/backups") == 2


def test_a_job_whose_copy_is_too_old_is_copied_at_once(bench: Bench) -> None:
    bench.backups.start(float("inf"))
    bench.move(0)
    assert ages(bench) == [0.0]
    younger = Bench()
    younger.backups.start(70.0)
    younger.move(29)
    assert ages(younger) == []
    younger.move(1)
    assert ages(younger) == [30.0]


def test_the_next_copy_is_there_before_the_last_one_is_too_old(bench: Bench) -> None:
    bench.took_seconds = 20.0
    bench.backups.start(None)
    bench.move(100)
    bench.move(49)
    assert len(bench.made_at) == 1
    bench.move(1)
    assert len(bench.made_at) == 2


def test_zero_makes_none() -> None:
    bench = Bench(0)
    bench.backups.start(float("inf"))
    bench.move(1_000)
    assert bench.finish().called
    assert bench.made_at == []


def test_a_copy_that_takes_too_long_is_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.took_seconds = 60.0
    bench.backups.start(None)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            bench.move(60)
    assert ages(bench) == [120.0, 180.0, 240.0]
    (told,) = caplog.messages
    assert told.startswith("A copy of the job takes 60.0 s")


@pytest.mark.parametrize("error", [StoreUnavailableError("the disk is full"), MemoryError("none")])
def test_a_copy_that_fails_is_said_and_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    bench.error = error
    bench.backups.start(None)
    with caplog.at_level(logging.WARNING):
        bench.move(100)
    (told,) = caplog.messages
    assert str(error) in told
    assert "the next is tried in 100 s" in told
    bench.error = None
    bench.move(100)
    assert len(bench.made_at) == 1
    assert bench.stats.get_value("resume/backup_failures") == 1


def test_the_last_copy_is_made_at_the_end_and_none_after(bench: Bench) -> None:
    bench.backups.start(None)
    bench.move(50)
    ended = bench.finish()
    bench.join()
    assert ended.called
    assert ages(bench) == [50.0]
    bench.move(1_000)
    assert len(bench.made_at) == 1


def test_a_copy_that_is_being_made_is_given_up_for_the_last_one(bench: Bench) -> None:
    bench.waits = threading.Event()
    bench.backups.start(None)
    bench.clock.move(100)
    ended = bench.finish()
    assert not ended.called
    bench.waits.set()
    bench.join()
    bench.join()  # the last one has begun when the other one was given up
    assert ended.called
    assert (bench.given_up, len(bench.made_at)) == (1, 1)
