"""Signs of life while the database is out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import Opening

pytest.importorskip("psycopg")

from scrapy_resume.store.postgres.signs_of_life import PAUSE_SECONDS, Heartbeat, Marks
from scrapy_resume.store.postgres.statements import OPENING


class Out:
    """A database that does not answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.often = threading.Event()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.asked += 1
        if self.asked >= 3:
            self.often.set()
        raise StoreUnavailableError("the server is gone")
        yield


def test_heartbeats_in_vain_are_tried_again_at_leisure() -> None:
    link = Out()
    opening = Opening(spider="books", worker="h:1", heartbeat_seconds=0.01, orphan_seconds=1)
    life = Heartbeat(link, 1, 1, opening, Marks(), careful=False)  # type: ignore[arg-type]
    began = time.monotonic()
    life.start()
    assert link.often.wait(20)
    life.stop()
    assert link.asked <= 2 + (time.monotonic() - began) / PAUSE_SECONDS


class Slow:
    """A database that takes its time to keep anything."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.kept: list[tuple[list[int], list[int]]] = []
        self.out = False
        self.before_lock: Callable[[], None] = lambda: None
        """What the transaction does that holds the run's row until it is asked for here."""

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        assert self.go_on.wait(20)
        if self.out:
            raise StoreUnavailableError("the server is gone")
        yield self

    def execute(self, statement: str, values: dict[str, Any] | None = None) -> None:
        if statement == OPENING["hold_run"]:
            self.before_lock()
        if values and "sent" in values:
            self.kept.append((values["sent"], values["answered"]))


@pytest.fixture
def link() -> Slow:
    return Slow()


@pytest.fixture
def life(link: Slow) -> Iterator[Heartbeat]:
    opening = Opening(spider="books", worker="h:1")
    life = Heartbeat(link, 1, 1, opening, Marks(), careful=True)  # type: ignore[arg-type]
    life.start()
    yield life
    link.go_on.set()
    life.stop()


def marked(life: Heartbeat, row: int) -> threading.Event:
    """Mark a row as answered; the event is set when its callback may go on."""
    told = threading.Event()
    life._marks.mark(row, Phase.answered)
    life.marked()
    assert not life.when_written(told.set)
    return told


def test_a_callback_waits_until_the_server_knows_of_its_page(life: Heartbeat, link: Slow) -> None:
    told = marked(life, 7)
    assert not told.wait(0.05)
    link.go_on.set()
    assert told.wait(20)
    assert link.kept[-1] == ([7], [7])


def test_a_callback_does_not_wait_for_a_server_that_is_out(life: Heartbeat, link: Slow) -> None:
    link.out = True
    told = marked(life, 7)
    link.go_on.set()
    assert told.wait(20)


def test_nobody_waits_for_a_life_that_has_ended(life: Heartbeat, link: Slow) -> None:
    early = marked(life, 7)
    link.go_on.set()
    life.stop()
    assert early.wait(20)
    assert marked(life, 8).wait(20)


def test_on_a_job_that_has_not_crashed_nobody_waits() -> None:
    opening = Opening(spider="books", worker="h:1")
    life = Heartbeat(Slow(), 1, 1, opening, Marks(), careful=False)  # type: ignore[arg-type]
    assert life.when_written(pytest.fail)


def test_a_callback_waits_though_a_commit_has_taken_its_mark_along(
    life: Heartbeat, link: Slow
) -> None:
    life._marks.mark(7, Phase.answered)
    life._marks.take()
    told = threading.Event()
    assert not life.when_written(told.set)
    assert not told.wait(0.05)
    link.go_on.set()
    assert told.wait(20)
    assert link.kept[-1] == ([7], [7])


def test_marks_that_a_rolled_back_commit_has_taken_along_are_written(
    life: Heartbeat, link: Slow
) -> None:
    link.go_on.set()
    link.out = True
    assert marked(life, 7).wait(20)
    link.out = False
    told = threading.Event()
    assert not life.when_written(told.set)
    assert told.wait(20)
    assert link.kept[-1] == ([7], [7])


def test_marks_that_waited_for_a_commit_do_not_replace_its_newer_ones(
    life: Heartbeat, link: Slow
) -> None:
    def commit() -> None:
        life._marks.mark(8, Phase.answered)
        life._marks.written(life._marks.take())

    link.before_lock = commit
    link.go_on.set()
    assert marked(life, 7).wait(20)
    assert link.kept[-1] == ([7, 8], [7, 8])
