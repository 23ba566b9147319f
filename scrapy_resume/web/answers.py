"""Answers that are worked out in threads, one at a time each, and kept for a moment.

However many clients look at a page, it is read from the store once a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Final, NamedTuple

from anyio import CapacityLimiter, to_thread

KEPT_SECONDS: Final = 1.0
KEPT_ANSWERS: Final = 256
THREADS: Final = 4
ACTION_THREADS: Final = 2


class Answer(NamedTuple):
    """What a function has answered."""

    body: bytes
    media_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def etag(self) -> str:
        """Differs when the body does."""
        return f'"{blake2b(self.body, digest_size=12).hexdigest()}"'


class Answers:
    """Works answers out, and keeps each for a second."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, seconds: float | None = None
    ) -> None:
        self._clock = clock
        self._seconds = KEPT_SECONDS if seconds is None else seconds
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Task[Answer]]] = OrderedDict()
        self._threads: CapacityLimiter | None = None
        self._action_threads: CapacityLimiter | None = None

    async def of(self, key: Hashable, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``, or one to the same key that is less than a second old. A task
        that is under way is waited for, not begun anew."""
        kept = self._kept.get(key)
        if kept is None or (kept[1].done() and kept[0] < self._clock()):
            task = asyncio.create_task(self.in_thread(work))
            kept = self._clock() + self._seconds, task
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)
        # One client that leaves must not take the answer from the others.
        return await asyncio.shield(kept[1])

    async def in_thread(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``, which is not kept."""
        if self._threads is None:
            self._threads = CapacityLimiter(THREADS)
        return await to_thread.run_sync(work, limiter=self._threads)

    async def of_action(self, work: Callable[[], Answer]) -> Answer:
        """The answer of ``work``, which may wait for the owner of a job: not in the threads in
        which pages are made."""
        if self._action_threads is None:
            self._action_threads = CapacityLimiter(ACTION_THREADS)
        return await to_thread.run_sync(work, limiter=self._action_threads)

    def forget(self) -> None:
        """Something was changed: answers that are kept are old."""
        self._kept.clear()
