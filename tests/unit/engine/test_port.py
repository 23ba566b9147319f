"""What the port answers before there is an engine, and what it has the engine do."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from twisted.internet.defer import Deferred

from scrapy_resume.engine.port import EnginePort
from scrapy_resume.errors import HeldBackError
from scrapy_resume.frontier.row import Row
from tests.support.coroutines import in_event_loop, run_what_is_ready

SLOT = "shop.test"


class Engine:
    """An engine with one download slot, as far as the port uses it."""

    def __init__(self) -> None:
        self.spider: object | None = object()
        self.scheduled = 0
        self.close_reasons: list[str] = []
        self.download_slot = SimpleNamespace(
            active=set(), transferring=set(), queue=deque(), latercall=None
        )
        self.downloader = SimpleNamespace(
            active=set(),
            slots={SLOT: self.download_slot},
            get_slot_key=lambda request: request.meta["download_slot"],
        )
        self._slot: Any = SimpleNamespace(
            closing=None, nextcall=SimpleNamespace(schedule=self._schedule)
        )

    def _schedule(self) -> None:
        self.scheduled += 1

    async def close_spider_async(self, *, reason: str) -> None:
        self.close_reasons.append(reason)

    def spider_is_idle(self) -> bool:
        return True

    def _spider_idle(self) -> None:
        """Nobody raises ``DontCloseSpider``, and nobody closes the spider."""

    def begin_closing(self) -> None:
        self._slot.closing = Deferred()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def rows() -> dict[Request, Row]:
    return {}


@pytest.fixture
def port(engine: Engine, rows: dict[Request, Row]) -> EnginePort:
    port = EnginePort()
    port.attach(engine, rows.get)  # type: ignore[arg-type]
    return port


def test_without_an_engine_the_port_is_idle_and_does_nothing() -> None:
    port = EnginePort()
    port.wake()
    port.close_spider("finished")
    port.hold_back(lambda _: True)
    assert port.is_idle()
    assert not port.closing
    assert port.active_downloads(SLOT) == 0
    assert not port.is_resting(SLOT)
    assert port.slot_key(Request(f"http://{SLOT}/")) == ""


def test_wake_has_the_engine_ask_for_a_request(port: EnginePort, engine: Engine) -> None:
    port.wake()
    assert engine.scheduled == 1


def test_wake_does_nothing_while_the_spider_closes(port: EnginePort, engine: Engine) -> None:
    assert not port.closing
    engine.begin_closing()
    assert port.closing
    port.wake()
    assert engine.scheduled == 0


def test_wake_does_nothing_after_the_spider_was_closed(port: EnginePort, engine: Engine) -> None:
    engine._slot = None
    port.wake()
    assert engine.scheduled == 0
    assert not port.closing


@in_event_loop
async def test_the_spider_is_closed_with_the_reason(port: EnginePort, engine: Engine) -> None:
    port.close_spider("shutdown")
    await run_what_is_ready()
    assert engine.close_reasons == ["shutdown"]


@in_event_loop
async def test_a_spider_that_is_closed_is_not_closed_again(
    port: EnginePort, engine: Engine
) -> None:
    engine.spider = None
    port.close_spider("shutdown")
    await run_what_is_ready()
    assert engine.close_reasons == []


def test_the_downloader_is_idle_without_active_requests(port: EnginePort, engine: Engine) -> None:
    assert port.is_idle()
    engine.downloader.active.add(Request("http://shop.test/"))
    assert not port.is_idle()


def test_active_downloads_are_those_of_the_slot(port: EnginePort, engine: Engine) -> None:
    engine.download_slot.active.update({Request("http://shop.test/"), Request("http://a.test/")})
    assert port.active_downloads(SLOT) == 2
    assert port.active_downloads("other.test") == 0


def test_a_slot_rests_from_a_response_to_the_end_of_its_delay(
    port: EnginePort, engine: Engine
) -> None:
    assert not port.is_resting(SLOT)
    engine.download_slot.latercall = object()
    assert port.is_resting(SLOT)
    engine.download_slot.transferring.add(Request("http://shop.test/"))
    assert not port.is_resting(SLOT)
    assert not port.is_resting("other.test")


def test_the_slot_of_a_request_is_the_downloader_s(port: EnginePort) -> None:
    assert port.slot_key(Request("http://shop.test/", meta={"download_slot": "eu"})) == "eu"


class Queued:
    """Requests in the queue of the download slot, and how their downloads end."""

    def __init__(self, engine: Engine, rows: dict[Request, Row]) -> None:
        self._queue = engine.download_slot.queue
        self._rows = rows
        self.errors: dict[str, BaseException] = {}

    def add(self, name: str, *, row: bool = True, **meta: Any) -> Row:
        request = Request(f"http://shop.test/{name}", meta=meta)
        waiter: Deferred[Any] = Deferred()
        waiter.addErrback(lambda failure: self.errors.setdefault(name, failure.value))
        self._queue.append((request, waiter))
        found = Row(len(self._queue), b"", recorded=True)
        if row:
            self._rows[request] = found
        return found

    def names(self) -> list[str]:
        return [request.url.rpartition("/")[2] for request, _ in self._queue]


@pytest.fixture
def queued(engine: Engine, rows: dict[Request, Row]) -> Queued:
    return Queued(engine, rows)


def test_hold_back_takes_the_meant_requests_out_of_the_queue(
    port: EnginePort, queued: Queued
) -> None:
    meant = [queued.add("a"), queued.add("c")]
    queued.add("b")
    port.hold_back(lambda row: row in meant)
    assert queued.names() == ["b"]
    assert queued.errors.keys() == {"a", "c"}
    assert all(type(error) is HeldBackError for error in queued.errors.values())


def test_hold_back_leaves_a_request_that_must_not_be_retried(
    port: EnginePort, queued: Queued
) -> None:
    queued.add("once", dont_retry=True)
    queued.add("retried", dont_retry=False)
    port.hold_back(lambda _: True)
    assert queued.names() == ["once"]


def test_hold_back_leaves_a_request_without_a_row(port: EnginePort, queued: Queued) -> None:
    queued.add("robots.txt", row=False)
    port.hold_back(lambda _: True)
    assert queued.names() == ["robots.txt"]
    assert queued.errors == {}
