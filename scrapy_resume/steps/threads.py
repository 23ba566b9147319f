"""Daemon threads for plain step functions: one that hangs cannot hold the exit of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Ended = Callable[[Any, "BaseException | None"], None]


class DaemonThreads:
    """As many threads as calls run at a time. A thread that has ended a call takes the next one."""

    def __init__(self, name: str, post: Callable[..., object]) -> None:
        """``post``: has the event loop call a function; called from the threads."""
        self._name = name
        self._post = post
        self._calls: SimpleQueue[tuple[Callable[[], Any], Ended] | None] = SimpleQueue()
        self._idle = 0
        self._started = 0
        self._ended = False
        self._lock = threading.Lock()

    def run(self, call: Callable[[], Any], ended: Ended) -> None:
        """Call a function in a thread, then ``ended`` in the event loop with what it returned, or
        ``None`` and what it raised."""
        with self._lock:
            starts = not self._idle
            if not starts:
                self._idle -= 1
        self._calls.put((call, ended))
        if starts:
            self._started += 1
            threading.Thread(
                target=self._work, name=f"{self._name} {self._started}", daemon=True
            ).start()

    def end(self) -> None:
        """Let the idle threads end. Those that run a call end with it."""
        with self._lock:
            idle, self._idle = self._idle, 0
            self._ended = True
        for _ in range(idle):
            self._calls.put(None)

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            call, ended = job
            try:
                result = call()
            except BaseException as error:  # of the user's step, which may raise SystemExit too
                self._post(ended, None, error)
                del error
            else:
                self._post(ended, result, None)
                del result
            del job, call, ended
            with self._lock:
                if self._ended:
                    return
                self._idle += 1
