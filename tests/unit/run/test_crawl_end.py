"""The end of a crawl is told once: at the exit of the process, or after it lives on for a while."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import JobKey
from scrapy_resume.run.crawl_end import LIVES_ON_SECONDS, CrawlEnd, EndOwedError, processes_owing
from scrapy_resume.store.contract import EventNote
from scrapy_resume.store.transaction.events import end_owed
from tests.support.clock import ManualClock


@pytest.fixture
def at_exit(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What the interpreter would call at its exit."""
    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", registered.remove)
    return registered


def test_it_is_told_when_the_process_exits(at_exit: list[Any]) -> None:
    told: list[bool] = []
    CrawlEnd(lambda: told.append(True)).watch(ManualClock())
    assert told == []
    for call in at_exit:
        call()
    assert told == [True]


def test_it_is_told_once_in_a_process_that_lives_on(at_exit: list[Any]) -> None:
    told = threading.Event()
    clock = ManualClock()
    CrawlEnd(told.set).watch(clock)
    clock.move(LIVES_ON_SECONDS - 0.1)
    assert len(at_exit) == 1
    clock.move(0.2)
    assert told.wait(10)
    assert at_exit == []


def test_a_store_that_is_out_is_no_failure_of_the_process(
    at_exit: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def out() -> None:
        raise StoreUnavailableError("out of reach")

    CrawlEnd(out).watch(ManualClock())
    at_exit[0]()
    assert "out of reach" in caplog.text
    assert "begin nothing" in caplog.text


def test_an_end_is_settled_once_in_a_process_and_stored_at_its_exit(at_exit: list[Any]) -> None:
    """A second crawl of the same process begins the next number, although it is not stored yet."""
    job = JobKey("books", 1)
    notes = [EventNote(4, [{"event": "job_closed"}]), EventNote(5, end_owed(1, "dead-1"))]
    error = EndOwedError(job, notes)
    assert error.undelivered == notes[:1]
    assert processes_owing(job, notes) == ["dead-1"]
    deleted: list[Any] = []
    store: Any = type("Store", (), {"delete_events": lambda _, *given: deleted.append(given)})()
    error.settle(store, ManualClock())
    assert deleted == []
    assert processes_owing(job, notes) == []
    at_exit[0]()
    assert deleted == [(job, [5])]
