"""What the port answers before there is an engine, and what it has the engine do."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any, cast

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
            active=set(),
            transferring=set(),
            queue=deque(),
            latercall=None,
            concurrency=2,
            delay=0.0,
        )
        self.downloader = SimpleNamespace(
            active=set(),
            slots={SLOT: self.download_slot},
            get_slot_key=lambda request: request.meta["download_slot"],
            total_concurrency=4,
            domain_concurrency=8,
            per_slot_settings={"narrow.test": {"concurrency": 1}},
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


def hand_out(engine: Engine, *slots: str) -> None:
    """The engine has a request of each of these slots, which no download slot has yet."""
    for slot in slots:
        engine.downloader.active.add(Request(f"http://{slot}/", meta={"download_slot": slot}))


def test_there_is_room_for_what_the_downloader_would_send_at_once(
    port: EnginePort, engine: Engine
) -> None:
    assert (port.room().total, port.room().of(SLOT)) == (4, 2)
    hand_out(engine, SLOT, SLOT)
    assert (port.room().total, port.room().of(SLOT)) == (2, 0)
    assert list(port.room().active) == [SLOT]


def test_a_slot_that_does_not_exist_yet_has_the_room_of_its_settings(
    port: EnginePort, engine: Engine
) -> None:
    assert (port.room().of("new.test"), port.room().of("narrow.test")) == (8, 1)
    hand_out(engine, "new.test", "narrow.test")
    assert (port.room().of("new.test"), port.room().of("narrow.test")) == (7, 0)


def test_a_slot_with_a_delay_has_room_for_one_that_waits(port: EnginePort, engine: Engine) -> None:
    engine.download_slot.delay = 0.5
    assert (port.room().of(SLOT), port.room().delay_seconds(SLOT)) == (1, 0.5)
    hand_out(engine, SLOT)
    assert port.room().of(SLOT) == 0
    engine.download_slot.transferring.update(engine.downloader.active)
    assert port.room().of(SLOT) == 1
    hand_out(engine, SLOT)
    assert port.room().of(SLOT) == 0, "it may have two at a time, and one of them waits"


def test_where_slots_have_delays_a_new_one_has_room_for_one(engine: Engine) -> None:
    port = EnginePort(has_delays=True)
    assert (port.room().total, port.room().of("new.test")) == (0, 0), "there is no engine yet"
    port.attach(cast(Any, engine), lambda _: None)
    assert port.room().of("new.test") == 1


def test_without_a_limit_there_is_always_room(port: EnginePort, engine: Engine) -> None:
    engine.downloader.total_concurrency = 0
    hand_out(engine, *map(str, range(50)))
    assert port.room().total > 1_000


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


def test_queues_are_sent_or_dropped_whole(port: EnginePort, engine: Engine) -> None:
    sent: list[Any] = []
    engine.downloader._process_queue = sent.append
    waiter: Deferred[Any] = Deferred()
    failed: list[type[BaseException] | None] = []
    waiter.addErrback(lambda failure: failed.append(failure.type))
    robots = Request(f"http://{SLOT}/robots.txt", meta={"dont_retry": True})
    engine.download_slot.queue.append((robots, waiter))
    port.send_queued()
    assert sent == [engine.download_slot]
    port.drop_queued()
    assert failed == [HeldBackError]
    assert not engine.download_slot.queue
