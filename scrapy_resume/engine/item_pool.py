"""Sends the items of one response through the pipelines with as few tasks as the items need."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

INITIAL_WORKERS: Final = 8
"""Workers at the beginning. An item in the pipelines is about sixty objects for the garbage
collector, which took a third of the time with a hundred workers for each response."""

STALL_SECONDS: Final = 0.005
STALL_TURNS: Final = 20
"""If no item passes the pipelines in this time and then in so many turns of the event loop, the
pipelines wait for something, and the number of workers is doubled. (An item that waits for nothing
takes six to ten turns; a turn of a busy loop may take long.)"""


class ItemPool:
    """Calls a coroutine function for each item, up to ``limit`` at a time. Needs asyncio."""

    def __init__(self, process: Callable[[Any], Awaitable[None]], limit: int) -> None:
        self._process = process
        # CONCURRENT_ITEMS may be 0: then Scrapy itself would not even take a callback's requests.
        self._limit = max(1, limit)
        self._worker_count = min(INITIAL_WORKERS, self._limit)
        self._waiting: deque[Any] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = 0
        self._room: asyncio.Future[None] | None = None

    async def add(self, item: Any) -> None:
        """Process an item. Waits while more items are queued than are being processed."""
        self._waiting.append(item)
        self._start_workers()
        while len(self._waiting) > self._running:
            await self._wait_for_room()

    def _start_workers(self) -> None:
        while self._running < min(self._worker_count, self._running + len(self._waiting)):
            self._running += 1
            self._tasks.append(asyncio.ensure_future(self._work()))

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._process(self._waiting.popleft())
                self._notify()
        finally:
            self._running -= 1
            self._start_workers()  # in place of this one, if an item has ended it
            self._notify()

    def _notify(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        timer = loop.call_later(STALL_SECONDS, self._add_workers, self._room, STALL_TURNS)
        try:
            await self._room
        finally:
            timer.cancel()
        self._tasks = [
            task
            for task in self._tasks
            if not task.done() or (not task.cancelled() and task.exception())
        ]

    def _add_workers(self, room: asyncio.Future[None], turns: int) -> None:
        if room.done():
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._add_workers, room, turns - 1)
            return
        self._worker_count = min(2 * self._worker_count, self._limit)
        self._start_workers()
        self._notify()

    async def end(self) -> None:
        """Wait until all items are processed. Raises the first ``Exception`` of ``process``."""
        while self._waiting and self._running:
            await self._wait_for_room()
        if self._tasks:
            await asyncio.wait(self._tasks)  # all of them, also where one raises
        for task in self._tasks:
            if not task.cancelled() and isinstance(task.exception(), Exception):
                task.result()
