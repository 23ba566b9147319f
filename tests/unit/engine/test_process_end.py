"""The end of the process is noticed when the reactor stops and when the interpreter exits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.base import _ThreePhaseEvent
from twisted.internet.defer import Deferred

from scrapy_resume.engine import process_end
from scrapy_resume.engine.process_end import ProcessEnd


class Reactor:
    """A reactor, as far as its shutdown goes; the triggers are Twisted's."""

    def __init__(self) -> None:
        self._event = _ThreePhaseEvent()
        self.stopped = False
        self._event.addTrigger("after", self._stop)

    def _stop(self) -> None:
        self.stopped = True

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], Any]) -> Any:
        assert event == "shutdown"
        return self._event.addTrigger(phase, call)

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self._event.removeTrigger(trigger)

    def stop(self) -> None:
        self._event.fireEvent()


class Shutdown:
    """Takes the calls of ``ProcessEnd``."""

    def __init__(self) -> None:
        self.stops = 0
        self.exits = 0

    def reactor_stops(self) -> None:
        self.stops += 1

    def at_exit(self) -> None:
        self.exits += 1


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Reactor:
    reactor = Reactor()
    monkeypatch.setattr(process_end, "_reactor", lambda: reactor)
    return reactor


@pytest.fixture
def shutdown() -> Shutdown:
    return Shutdown()


@pytest.fixture
def end(shutdown: Shutdown) -> Iterator[ProcessEnd]:
    end = ProcessEnd(shutdown.reactor_stops, shutdown.at_exit)
    yield end
    end.unwatch()


def test_a_reactor_that_stops_calls(reactor: Reactor, end: ProcessEnd, shutdown: Shutdown) -> None:
    end.watch()
    reactor.stop()
    assert (shutdown.stops, reactor.stopped) == (1, True)


def test_nothing_is_called_after_unwatch(
    reactor: Reactor, end: ProcessEnd, shutdown: Shutdown
) -> None:
    end.watch()
    end.unwatch()
    reactor.stop()
    assert (shutdown.stops, reactor.stopped) == (0, True)


def test_graceful_shutdowns_of_the_phase_before_come_first(
    reactor: Reactor, end: ProcessEnd, shutdown: Shutdown
) -> None:
    end.watch()
    graceful: Deferred[None] = Deferred()
    reactor.addSystemEventTrigger("before", "shutdown", lambda: graceful)
    reactor.stop()
    assert shutdown.stops == 0
    end.unwatch()  # the spider was closed gracefully
    graceful.callback(None)
    assert (shutdown.stops, reactor.stopped) == (0, True)


def test_a_job_may_be_closed_while_the_reactor_runs_its_triggers(
    reactor: Reactor, end: ProcessEnd
) -> None:
    end.watch()
    reactor.addSystemEventTrigger("during", "shutdown", end.unwatch)
    reactor.stop()
    assert reactor.stopped


def test_the_end_of_a_forked_process_is_not_that_of_the_crawl(
    monkeypatch: pytest.MonkeyPatch, reactor: Reactor, end: ProcessEnd, shutdown: Shutdown
) -> None:
    monkeypatch.setattr(process_end, "is_reactor_installed", lambda: True)
    end.watch()
    child = os.fork()
    if child == 0:
        reactor.stop()
        os._exit(shutdown.stops)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


FORKING = """
import os, sys
import twisted.internet.reactor
from scrapy_resume.engine.process_end import ProcessEnd

end = ProcessEnd(lambda: None, lambda: os.write(1, b"shut down "))
end.watch()
if child := os.fork():
    os.waitpid(child, 0)
"""


def test_a_forked_process_that_exits_shuts_nothing_down() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, check=True)
    assert ended.stdout == b"shut down "


PROGRAM = """
import asyncio

from scrapy_resume.engine.process_end import ProcessEnd

end = ProcessEnd(lambda: print("loop", end.loop_torn_down), lambda: print("exit"))


async def watch():
    end.watch()
    await asyncio.sleep(0)
    {then}


{run}(watch())
"""
"""What ends without a reactor, and what is called then."""


def printed_by(then: str = "", run: str = "asyncio.run") -> list[str]:
    program = PROGRAM.format(then=then, run=run)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()


def test_an_interpreter_that_exits_without_a_reactor_shuts_down() -> None:
    assert printed_by(run="asyncio.new_event_loop().run_until_complete") == ["exit"]


def test_nothing_is_called_without_a_reactor_after_unwatch() -> None:
    assert printed_by(then="end.unwatch()") == []


def test_a_loop_whose_tasks_are_all_cancelled_calls_before_any_task_notices() -> None:
    then = """
    async def survive():
        try:
            await asyncio.sleep(60)
        finally:
            print("cancelled")

    end.task = asyncio.ensure_future(survive())
    await asyncio.sleep(0)
    """
    assert printed_by(then) == ["loop True", "cancelled", "exit"]


def test_a_task_that_is_cancelled_alone_ends_nothing() -> None:
    then = """
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled(), end.loop_torn_down)
    end.unwatch()
    """
    assert printed_by(then) == ["True False"]


def test_a_shutdown_that_raises_does_not_keep_the_loop_from_closing() -> None:
    then = "end._canary._call = lambda: 1 / 0"
    assert printed_by(then) == ["exit"]
