"""Feeds and listeners are notified of commits in order, and of the end of the run once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.events.commit_listeners import CommitListeners
from scrapy_resume.model import Counts
from scrapy_resume.store.contract import Batch, Committed

COUNTS = Counts(pending=3, leased=2)


class Listener:
    def __init__(self, name: str, calls: list[tuple[Any, ...]]) -> None:
        self.name = name
        self.calls = calls

    def committed(self, batch: Batch, answer: Committed) -> None:
        self.calls.append((self.name, "committed"))

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        self.calls.append((self.name, status, reason, counts.pending, counts.leased, pages))

    def end(self) -> None:
        self.calls.append((self.name, "end"))


class Feeds(Listener):
    def complete(self, batch: Batch) -> None:
        self.calls.append((self.name, "complete"))

    def abandon(self) -> None:
        self.calls.append((self.name, "abandon"))


@pytest.fixture
def calls() -> list[tuple[Any, ...]]:
    return []


def listeners_of(calls: list[tuple[Any, ...]], *, shared: bool = False) -> CommitListeners:
    session: Any = SimpleNamespace(sharing=SimpleNamespace(shared=shared))
    tracker: Any = SimpleNamespace(counts=COUNTS, pages=7)
    listeners = CommitListeners(session, tracker)
    listeners.add(Listener("log", calls))
    return listeners


def test_feeds_are_notified_before_listeners(calls: list[tuple[Any, ...]]) -> None:
    listeners = listeners_of(calls)
    feeds: Any = Feeds("feeds", calls)
    listeners.attach_feeds(feeds)
    assert listeners.feeds is feeds
    listeners.complete(Batch(next_id=1))
    listeners.committed(Batch(next_id=1), Committed())
    listeners.abandon_feeds()
    assert calls == [
        ("feeds", "complete"),
        ("feeds", "committed"),
        ("log", "committed"),
        ("feeds", "abandon"),
    ]


def test_without_feeds_only_listeners_are_notified(calls: list[tuple[Any, ...]]) -> None:
    listeners = listeners_of(calls)
    assert listeners.feeds is None
    listeners.complete(Batch(next_id=1))
    listeners.committed(Batch(next_id=1), Committed())
    listeners.abandon_feeds()
    assert calls == [("log", "committed")]


def test_the_end_of_a_run_releases_its_leases(calls: list[tuple[Any, ...]]) -> None:
    listeners_of(calls).ended("paused", "shutdown", COUNTS)
    assert calls == [("log", "paused", "shutdown", 5, 0, 7), ("log", "end")]


def test_in_a_shared_store_leases_of_other_workers_remain(calls: list[tuple[Any, ...]]) -> None:
    listeners_of(calls, shared=True).ended("paused", "shutdown", COUNTS)
    assert calls == [("log", "paused", "shutdown", 3, 2, 7), ("log", "end")]


def test_an_end_that_could_not_be_committed_is_only_an_end(calls: list[tuple[Any, ...]]) -> None:
    listeners_of(calls).ended(None, "finished", COUNTS)
    assert calls == [("log", "end")]


@pytest.mark.parametrize(
    ("answer", "before"), [(Committed(counts=COUNTS), [("log", "committed")]), (None, [])]
)
def test_after_a_forced_shutdown_listeners_are_notified_and_feeds_are_not(
    calls: list[tuple[Any, ...]], answer: Committed | None, before: list[tuple[Any, ...]]
) -> None:
    listeners = listeners_of(calls)
    feeds: Any = Feeds("feeds", calls)
    listeners.attach_feeds(feeds)
    listeners.last_batch_committed(Batch(next_id=1), answer, "paused", "shutdown")
    assert calls == [*before, ("log", "paused", "shutdown", 5, 0, 7), ("log", "end")]
