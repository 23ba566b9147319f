"""Downloads of steps go to the worker that owns the slot, and its answers come back."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

import pytest
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from twisted.internet.defer import CancelledError, Deferred

from scrapy_resume.codec import Codec
from scrapy_resume.steps.fetch_text import error_text, response_text
from scrapy_resume.steps.fleet_fetches import ASK_SECONDS, FleetDownload
from scrapy_resume.store.contract import Batch, Committed, FetchToDo, StepAnswer, StepReport
from tests.support.clock import ManualClock, StubEngine

from .working import StubCommitter

OWN, OTHER = "http://own.example/1", "http://other.example/1"
RUN = 3


class Here:
    """Downloads in this process, when the test says so."""

    def __init__(self) -> None:
        self.under_way: dict[str, Deferred[Response]] = {}

    async def download(self, request: Request) -> Response:
        self.under_way[request.url] = Deferred()
        return await self.under_way[request.url]

    def end(self, url: str, result: Any = None) -> None:
        deferred = self.under_way.pop(url)
        if isinstance(result, Exception):
            deferred.errback(result)
        else:
            deferred.callback(Response(url, body=b"here"))


class Worker:
    def __init__(self) -> None:
        self.here = Here()
        self.clock = ManualClock()
        self.committer = StubCommitter()
        self.engine = StubEngine()
        self.fetches = FleetDownload(
            RUN,
            Codec(),
            self.here,
            lambda request: request.url.split("/")[2],
            lambda slot: slot.startswith("own"),
            self.engine,
            cast("Any", self.committer),
            self.clock,
        )

    def fetch(self, url: str, **fields: Any) -> Deferred[Response]:
        return started(self.fetches.download(Request(url, **fields)))

    def report(self) -> StepReport:
        batch = Batch(next_id=1)
        self.fetches.complete(batch)
        return batch.steps

    def answer(self, *todo: FetchToDo, **done: str) -> None:
        numbered = {int(name.removeprefix("n")): text for name, text in done.items()}
        steps = StepAnswer(fetches_to_do=list(todo), fetches_done=numbered)
        self.fetches.answered(Committed(steps=steps))


def started(coroutine: Coroutine[Any, Any, Response]) -> Deferred[Response]:
    return Deferred.fromCoroutine(coroutine)


def result_of(deferred: Deferred[Response]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found[0] if found else None


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_is_in_an_own_slot_is_downloaded_at_once(worker: Worker) -> None:
    fetched = worker.fetch(OWN)
    assert worker.fetches.busy == {"own.example": 1}, "the slot is not given away"
    worker.here.end(OWN)
    assert result_of(fetched).body == b"here"
    assert not worker.fetches.busy
    assert not worker.report().fetches_awaited


def test_what_is_in_anothers_slot_is_wanted_of_it(worker: Worker) -> None:
    fetched = worker.fetch(OTHER, headers={"X": "1"}, callback=NO_CALLBACK)
    (wanted,) = worker.report().fetches_wanted
    assert (wanted.slot, wanted.url) == ("other.example", OTHER)
    assert Codec().decode_request(wanted.url, wanted.request).headers[b"X"] == b"1"
    again = worker.report()
    assert (again.fetches_wanted, again.fetches_awaited) == ([], True)
    worker.answer(n1=response_text(Response(OTHER, body=b"there")))
    assert result_of(fetched).body == b"there"
    assert not worker.here.under_way
    assert not worker.report().fetches_awaited


def test_the_error_of_another_worker_is_raised_here(worker: Worker) -> None:
    fetched = worker.fetch(OTHER)
    worker.report()
    worker.answer(n1=error_text(IgnoreRequest("robots.txt")))
    assert result_of(fetched).check(IgnoreRequest)


def test_a_slot_that_is_claimed_for_it_is_downloaded_from_here(worker: Worker) -> None:
    fetched = worker.fetch(OTHER)
    worker.report()
    worker.answer(FetchToDo(RUN, 1, "other.example", OTHER, "{}"))
    assert worker.fetches.busy == {"other.example": 1}
    worker.here.end(OTHER)
    assert result_of(fetched).body == b"here"
    assert worker.report().fetches_given_up == [1], "the store forgets it"
    assert not worker.fetches.busy


def test_what_others_want_is_downloaded_and_told(worker: Worker) -> None:
    worker.answer(FetchToDo(9, 5, "own.example", OWN, Codec().encode_request(Request(OWN))))
    assert worker.fetches.busy == {"own.example": 1}
    worker.here.end(OWN)
    (done,) = worker.report().fetches_done
    assert (done.run, done.id) == (9, 5)
    assert not worker.fetches.busy
    worker.answer(FetchToDo(9, 6, "own.example", OWN, Codec().encode_request(Request(OWN))))
    worker.here.end(OWN, IgnoreRequest("robots.txt"))
    (done,) = worker.report().fetches_done
    assert "robots.txt" in done.result


def test_what_fails_while_the_engine_closes_is_left_to_others(worker: Worker) -> None:
    worker.answer(FetchToDo(9, 5, "own.example", OWN, Codec().encode_request(Request(OWN))))
    worker.engine.closing = True
    worker.here.end(OWN, RuntimeError("the engine is closed"))
    assert worker.report().fetches_done == []
    assert not worker.fetches.busy


def test_a_step_that_waits_no_more_gives_up(worker: Worker) -> None:
    fetched = worker.fetch(OTHER)
    worker.report()
    fetched.cancel()
    assert result_of(fetched).check(CancelledError)
    assert worker.report().fetches_given_up == [1]
    worker.answer(n1=response_text(Response(OTHER)))  # on its way already


def test_what_was_not_sent_yet_is_not_wanted_at_all(worker: Worker) -> None:
    worker.fetch(OTHER).addErrback(lambda _: None).cancel()
    report = worker.report()
    assert (report.fetches_wanted, report.fetches_given_up) == ([], [])


def test_the_store_is_asked_as_long_as_something_is_awaited(worker: Worker) -> None:
    worker.fetch(OTHER)
    for _ in range(3):
        (timer,) = worker.clock.timers[-1:]
        assert timer.due == pytest.approx(worker.clock.now + ASK_SECONDS)
        worker.clock.now = timer.due
        timer.call()
    assert worker.committer.sent_soon == 3
    worker.fetches.end()
    assert worker.clock.timers[-1].cancelled
