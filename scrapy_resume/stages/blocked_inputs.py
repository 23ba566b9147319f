"""Reads an iterable in a thread of plain code, and does not let what was read wait if it blocks.

An iterator may give a few inputs and then wait for an hour: for a queue, or for the results of
these very inputs. Those that were read are handed over meanwhile, in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.stages.reader import LOOKED_AT, READ_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy_resume.stages.reader import TaskReader

BLOCKED_SECONDS: Final = 0.05
"""An iterator that has given nothing for so long is taken for blocked; at most twice as long."""


class BlockedInputs:
    """One reading. To be made within the event loop."""

    def __init__(self, reader: TaskReader) -> None:
        self._reader = reader
        self._read: deque[Any] = deque()
        """What was read and not taken; both threads take from it."""
        self._ended = asyncio.Event()
        self._watching = asyncio.ensure_future(self._watch())

    def portions(self, inputs: Iterable[Any]) -> Iterator[list[Any]]:
        """The inputs in portions of ``reader.size``; smaller ones if inputs come slowly. Called in
        the caller's thread."""
        if self._reader.reads_nothing:
            return
        count, until = 0, time.monotonic() + READ_SECONDS
        for task_input in inputs:
            self._read.append(task_input)
            count += 1
            whole = count >= self._reader.size
            looks = whole or count == 1 or not count % LOOKED_AT
            if looks and (whole or time.monotonic() >= until):
                yield self._take()
                count, until = 0, time.monotonic() + READ_SECONDS
        if rest := self._take():
            yield rest

    def _take(self) -> list[Any]:
        taken = []
        try:
            while True:
                taken.append(self._read.popleft())
        except IndexError:
            return taken

    async def _watch(self) -> None:
        before = 0
        while not self._ended.is_set():
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._ended.wait(), BLOCKED_SECONDS)
            count = len(self._read)
            if count and count == before:
                await self._reader.offer(self._take(), waits=False)
                count = 0
            before = count

    async def end(self) -> None:
        """The reading has ended. Raises what ``TaskReader.offer`` has raised meanwhile."""
        self._ended.set()
        await self._watching

    async def give_up(self) -> None:
        """The same after an error, of which there is one already."""
        self._ended.set()
        await asyncio.gather(self._watching, return_exceptions=True)
