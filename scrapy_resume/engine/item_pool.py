"""Items of one response on their way through the pipelines, some at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FEW: Final = 8
"""Workers that a response begins with. Each item in the pipelines is some sixty objects that the
garbage collector follows; with a hundred workers for each response it took a third of the time."""

PATIENCE_SECONDS: Final = 0.005
PATIENCE_TURNS: Final = 20
"""After so long, and so many turns of the event loop, in which no item came through, there are
twice as many workers: the pipelines wait for something. (An item that waits for nothing takes
six to ten turns, and a turn of a busy loop may take long.)"""


class ItemPool:
    """Calls a coroutine for each item, for up to ``limit`` of them at a time. Needs asyncio."""

    def __init__(self, process: Callable[[Any], Awaitable[None]], limit: int) -> None:
        self._process = process
        self._limit = limit
        self._wanted = min(FEW, limit)
        self._waiting: deque[Any] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._at_work = 0
        self._room: asyncio.Future[None] | None = None

    async def add(self, item: Any) -> None:
        """Have an item processed. Waits while as many wait as are being processed."""
        self._waiting.append(item)
        self._hire()
        while len(self._waiting) > self._at_work:
            await self._wait_for_room()

    def _hire(self) -> None:
        while self._at_work < min(self._wanted, self._at_work + len(self._waiting)):
            self._at_work += 1
            self._tasks.append(asyncio.ensure_future(self._work()))

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._process(self._waiting.popleft())
                self._tell()
        finally:
            self._at_work -= 1
            self._tell()

    def _tell(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        timer = loop.call_later(PATIENCE_SECONDS, self._lose_patience, self._room, PATIENCE_TURNS)
        try:
            await self._room
        finally:
            timer.cancel()
        self._tasks = [task for task in self._tasks if not task.done() or task.exception()]

    def _lose_patience(self, room: asyncio.Future[None], turns: int) -> None:
        if room.done():
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._lose_patience, room, turns - 1)
            return
        self._wanted = min(2 * self._wanted, self._limit)
        self._hire()
        self._tell()

    async def end(self) -> None:
        """Wait for all of them. Raises what processing raised."""
        while self._waiting and self._at_work:
            await self._wait_for_room()
        if self._tasks:
            await asyncio.wait(self._tasks)  # all of them, also where one raises
        await asyncio.gather(*self._tasks)
