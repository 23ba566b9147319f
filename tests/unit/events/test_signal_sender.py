from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydispatch import dispatcher
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from scrapy_resume import signals
from scrapy_resume.engine.clock import ScrapyClock
from scrapy_resume.events.signal_sender import BACKLOG, SignalSender
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import EventNote
from scrapy_resume.tracking.tracker import Tracker
from tests.support.coroutines import in_event_loop, run_what_is_ready


@pytest.fixture
def crawler() -> Crawler:
    return get_crawler()


@pytest.fixture
def held() -> list[bool]:
    """True for each call of ``hold_dispatch``, False for each of ``resume_dispatch``."""
    return []


@pytest.fixture
def signal_sender(crawler: Crawler, held: list[bool]) -> SignalSender:
    tracker = SimpleNamespace(
        hold_dispatch=lambda reason: held.append(True),
        resume_dispatch=lambda reason: held.append(False),
    )
    return SignalSender(crawler, JobKey("books", 1), cast(Tracker, tracker), ScrapyClock())


class Handler:
    def heard(self) -> None:
        pass


def test_an_event_without_a_handler_is_not_wanted(signal_sender: SignalSender) -> None:
    assert signal_sender.wanted() == frozenset()


def test_a_handler_is_noticed_when_it_comes_and_when_it_goes(
    crawler: Crawler, signal_sender: SignalSender
) -> None:
    handler = Handler()
    crawler.signals.connect(handler.heard, signals.job_closed)
    assert signal_sender.wanted() == {"job_closed"}
    crawler.signals.disconnect(handler.heard, signals.job_closed)
    assert signal_sender.wanted() == frozenset()


def test_a_handler_that_was_garbage_collected_wants_nothing(
    crawler: Crawler, signal_sender: SignalSender
) -> None:
    handler = Handler()
    crawler.signals.connect(handler.heard, signals.request_failed)
    del handler
    assert signal_sender.wanted() == frozenset()


def test_a_handler_of_any_crawler_is_noticed(signal_sender: SignalSender) -> None:
    handler = Handler()
    dispatcher.connect(handler.heard, signals.commit_done, sender=dispatcher.Any)
    try:
        assert signal_sender.wanted() == {"commit_done"}
    finally:
        dispatcher.disconnect(handler.heard, signals.commit_done, sender=dispatcher.Any)


def test_another_crawler_s_handler_is_not(signal_sender: SignalSender) -> None:
    handler: Any = Handler()
    get_crawler().signals.connect(handler.heard, signals.commit_done)
    assert signal_sender.wanted() == frozenset()


def note(number: int, count: int = 1) -> EventNote:
    return EventNote(number, [{"event": "job_closed", "run": number}] * count)


class Sent:
    """Takes the place of Scrapy's signals: each event waits to be let through."""

    sender = object()

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.gates: list[asyncio.Future[None]] = []

    async def send_catch_log_async(self, signal: object, **details: Any) -> None:
        assert signal is signals.job_closed
        self.runs.append(details["run"])
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate

    async def let_through(self) -> None:
        self.gates.pop(0).set_result(None)
        await run_what_is_ready()


@pytest.fixture
def sent(signal_sender: SignalSender) -> Sent:
    sent = Sent()
    signal_sender._crawler = SimpleNamespace(signals=sent, spider=None)  # type: ignore[assignment]
    return sent


@in_event_loop
async def test_events_are_sent_in_order_and_a_note_is_delivered_when_all_its_events_were(
    signal_sender: SignalSender, sent: Sent
) -> None:
    signal_sender.send([note(1, count=2), note(2)])
    await run_what_is_ready()
    assert (sent.runs, signal_sender.take_delivered()) == ([1], [])
    await sent.let_through()
    assert (sent.runs, signal_sender.take_delivered()) == ([1, 1], [])
    await sent.let_through()
    assert (sent.runs, signal_sender.take_delivered()) == ([1, 1, 2], [1])
    await sent.let_through()
    assert signal_sender.take_delivered() == [2]
    assert signal_sender.take_delivered() == []


@in_event_loop
async def test_a_note_is_not_delivered_after_stop(signal_sender: SignalSender, sent: Sent) -> None:
    signal_sender.send([note(1), note(2)])
    await run_what_is_ready()
    signal_sender.stop()
    await sent.let_through()
    assert (sent.runs, signal_sender.take_delivered()) == ([1], [])


@in_event_loop
async def test_no_more_is_handed_out_while_many_events_wait(
    signal_sender: SignalSender, sent: Sent, held: list[bool]
) -> None:
    signal_sender.send([note(1, count=BACKLOG)])
    await run_what_is_ready()
    assert held == []
    signal_sender.send([note(2)])
    await run_what_is_ready()
    assert held == [True]
    for _ in range(BACKLOG):
        await sent.let_through()
    assert held == [True, False]


@in_event_loop
async def test_an_event_of_a_newer_version_is_passed_over(
    signal_sender: SignalSender, sent: Sent
) -> None:
    signal_sender.send([EventNote(1, [{"event": "from_the_future"}])])
    await run_what_is_ready()
    assert signal_sender.take_delivered() == [1]


@in_event_loop
async def test_a_stored_event_cannot_stand_for_another_sender_or_job(
    signal_sender: SignalSender, sent: Sent
) -> None:
    forged = {"signal": 1, "sender": 2, "spider": 3, "job": 4, "dont_log": 5}
    signal_sender.send([EventNote(1, [{"event": "job_closed", "run": 7, **forged}])])
    await run_what_is_ready()
    assert sent.runs == [7]
    await sent.let_through()
    assert signal_sender.take_delivered() == [1]
