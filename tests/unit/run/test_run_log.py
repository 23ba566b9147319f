"""The progress line: its rate and ETA are those of ``reporting.rates``, for what is committed."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.events.commit_listeners import CommitListener
from scrapy_resume.model import Counts, UnitState
from scrapy_resume.run import run_log
from scrapy_resume.run.run_log import RunLog
from scrapy_resume.store.contract import Batch, Committed, ItemPosition, JobProgress
from tests.support.clock import ManualClock


class Run:
    """As much of a run as its log looks at. It was opened when the clock stood at 1,000 s."""

    def __init__(self, before: Counts, *, shared: bool) -> None:
        self.clock = ManualClock(1_000.0)
        self.opened_at = self.clock.now
        self.settings = SimpleNamespace(progress_every=100, progress_bar=False)
        self.session = SimpleNamespace(
            counts=before,
            sharing=SimpleNamespace(shared=shared),
            progress=JobProgress(),
            feeds=[],
            items=ItemPosition(),
        )
        self.observers: list[CommitListener] = []
        self.listeners = SimpleNamespace(add=self.observers.append)
        custom_stats = SimpleNamespace(expected_total=None)
        self.rows: dict[Any, Any] = {}
        dispatcher = SimpleNamespace(dispatched=self.rows)
        self.parts = SimpleNamespace(
            clock=self.clock,
            custom_stats=custom_stats,
            dispatcher=dispatcher,
            steps=SimpleNamespace(counts={}),
        )
        self.named_units: dict[UnitState, int] | None = None
        self.tracker = SimpleNamespace(counts=before)
        fake: Any = self
        self.log = RunLog(fake)

    def commit(self, seconds: float, pages: int, items: int, counts: Counts) -> None:
        """Some seconds later the store accepts a batch; ``pages`` are those of the run so far."""
        self.clock.now += seconds
        batch = Batch(next_id=1)
        batch.progress.pages = pages
        answer = Committed(counts=counts, items=ItemPosition(given=items))
        for listener in self.observers:
            listener.committed(batch, answer)
        self.tracker.counts = counts

    def line(self, caplog: pytest.LogCaptureFixture) -> str:
        """The next progress line."""
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="scrapy_resume"):
            for _ in range(100):
                self.log.count_page()
        (record,) = caplog.records
        return record.getMessage()


@pytest.fixture(autouse=True)
def _no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "create_looping_call", lambda function: None)


def test_a_line_counts_what_this_run_has_committed(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(Counts(pending=50, done=50, items_stored=500), shared=False)
    assert run.line(caplog) == "50.0% (50/100) | success 100.0% | 0.0 items/s | ETA unknown"
    run.commit(5, 10, 20, Counts(pending=40, done=60, items_stored=520))
    run.commit(5, 20, 20, Counts(pending=30, done=70, items_stored=540))
    assert (
        run.line(caplog)
        == "70.0% (70/100) | success 100.0% | 4.0 items/s | ETA 0.2 min, of what is known"
    )


def test_items_that_replace_others_count_although_the_job_has_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(Counts(pending=50, done=50, items_stored=500), shared=False)
    run.commit(10, 10, 100, Counts(pending=40, done=60, items_stored=500))
    assert "10.0 items/s" in run.line(caplog)


def test_in_a_shared_store_the_other_workers_count_too(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(Counts(pending=900, done=100, items_stored=100), shared=True)
    run.commit(60, 50, 50, Counts(pending=700, done=300, items_stored=300))
    assert (
        run.line(caplog)
        == "30.0% (300/1000) | success 100.0% | 3.3 items/s | ETA 3.5 min, of what is known"
    )


def test_a_line_is_due_after_so_many_pages_or_items_not_after_both_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(Counts(), shared=False)
    with caplog.at_level(logging.INFO, logger="scrapy_resume"):
        for _ in range(99):
            run.log.count_page()
            run.log.count_item()
        assert not caplog.records
        run.log.count_page()
        run.log.count_item()
    assert len(caplog.records) == 1


def test_in_a_shared_store_what_was_never_sent_is_no_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(Counts(), shared=True)
    after = Counts(pending=1_000, done=100, ignored=5_000, parked=5_000, items_stored=100)
    run.commit(600, 100, 100, after)
    assert run.line(caplog).endswith("| ETA 1.7 h, of what is known")
