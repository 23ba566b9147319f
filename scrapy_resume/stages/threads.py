"""Calls plain functions in threads of their own, which never keep the process from ending.

``asyncio.to_thread`` is no choice: the interpreter waits for its threads when it exits, and a
function that hangs would hang the process with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Clock


class CallThreads:
    """Threads that are made when they are needed, and used again. As many calls as are made at a
    time run at a time: whoever calls limits them."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._idle: list[_CallThread] = []
        self._count = 0
        self.hanging = 0
        """Threads whose call has run out of time and has not ended."""

    async def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call a function in a thread, in a copy of the current context. If the waiting is
        cancelled, the thread goes on, and what the call returns is dropped."""
        thread = self._idle.pop() if self._idle else self._new()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        ended = partial(self._clock.post, self._ended, thread, answer)
        thread.calls.put((partial(context.run, function, *values), ended))
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.done() or answer.cancelled():
                self.hanging += 1
                thread.abandoned = True
            raise

    def _new(self) -> _CallThread:
        self._count += 1
        return _CallThread(f"{self._name} {self._count}")

    def _ended(
        self,
        thread: _CallThread,
        answer: asyncio.Future[Any],
        result: Any,
        error: BaseException | None,
    ) -> None:
        if thread.abandoned:
            thread.abandoned = False
            self.hanging -= 1
        self._idle.append(thread)
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        elif isinstance(error, StopIteration):
            answer.set_exception(RuntimeError(f"the function raised {error!r}"))
        else:
            answer.set_exception(error)

    def close(self) -> None:
        """End the threads that are idle; others end with the process."""
        for thread in self._idle:
            thread.calls.put(None)
        self._idle.clear()


class _CallThread:
    def __init__(self, name: str) -> None:
        self.calls: queue.SimpleQueue[tuple[Callable[[], Any], Callable[..., None]] | None] = (
            queue.SimpleQueue()
        )
        self.abandoned = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while (job := self.calls.get()) is not None:
            call, ended = job
            try:
                result, error = call(), None
            except BaseException as raised:  # of the user's function; the event loop decides
                result, error = None, raised
            ended(result, error)
            del job, call, ended, result, error
