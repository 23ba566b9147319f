"""Daemon threads for plain steps."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

from scrapy_resume.steps.threads import DaemonThreads

WAIT_SECONDS = 10.0


class Loop:
    """Collects what threads post."""

    def __init__(self) -> None:
        self.posted: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def post(self, *what: Any) -> None:
        self.posted.put(what)

    def run_one(self) -> None:
        call, *values = self.posted.get(timeout=WAIT_SECONDS)
        call(*values)


def test_a_call_is_answered_in_the_event_loop_with_its_result_or_error() -> None:
    loop = Loop()
    threads = DaemonThreads("test", loop.post)
    ended: list[tuple[Any, BaseException | None]] = []

    def fail() -> None:
        raise SystemExit(3)

    for call in (lambda: 5, fail):
        threads.run(call, lambda result, error: ended.append((result, error)))
        loop.run_one()
    assert ended[0] == (5, None)
    assert isinstance(ended[1][1], SystemExit)
    threads.end()


def test_an_idle_thread_takes_the_next_call_and_a_busy_one_does_not() -> None:
    loop = Loop()
    threads = DaemonThreads("test", loop.post)
    gate = threading.Event()
    used: list[str] = []

    def note(result: Any, error: BaseException | None) -> None:
        used.append(result)

    def name() -> str:
        return threading.current_thread().name

    threads.run(lambda: (gate.wait(WAIT_SECONDS), name())[1], note)
    for _ in range(3):
        threads.run(name, note)
        loop.run_one()
    gate.set()
    loop.run_one()
    assert used[-1] == "test 1"
    assert "test 1" not in used[:-1], "it was busy"
    threads.end()


def test_threads_are_daemons_and_end_when_they_are_not_needed() -> None:
    loop = Loop()
    threads = DaemonThreads("ending", loop.post)
    found: list[threading.Thread] = []
    threads.run(threading.current_thread, lambda thread, _: found.append(thread))
    loop.run_one()
    threads.end()
    (thread,) = found
    assert thread.daemon
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
