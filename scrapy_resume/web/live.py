"""Tells open pages that something has changed; they fetch what they show again.

Each job that somebody looks at is asked once a second for all who do. What is sent is only that
there is something new: a client that is slow gets the next word when it has taken the last one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.types import Receive, Scope, Send

from scrapy_resume.errors import JobNotFoundError, ResumeError
from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.web.board import Board

POLL_SECONDS: Final = 1.0
SHARE: Final = 0.05
"""Of the time, at most, is spent on asking about one job, or about all."""
ALIVE_SECONDS: Final = 15.0
"""So often a stream says that it is there. A proxy closes one that is silent for a minute."""
SEND_SECONDS: Final = 30.0
"""A client that takes nothing for so long is gone."""
STREAMS_AT_MOST: Final = 500
TICK_SECONDS: Final = 15.0
"""A live job counts as changed so often: that nothing happens is news, too."""


def stamp_of(board: Board, key: JobKey | None) -> str:
    """A short text that differs when a job has changed; without a key, when any has."""
    reports = board.open_reports()
    tick = int(time.time() // TICK_SECONDS)
    with reports.together():
        if key is not None:
            return _digest(_of_job(board, key, tick))
        marks: list[Hashable] = []
        for other, stamp in sorted(reports.pages.stamps().items(), key=lambda one: str(one[0])):
            marks.append((str(other), stamp))
            document = board.documents.of(reports, other, stamp)
            if document is not None and document["status"] in LIVE_STATUSES:
                marks.append((document["status"], tick))
        return _digest(marks)


def _of_job(board: Board, key: JobKey, tick: int) -> Hashable:
    try:
        summary = board.open_reports().summary(key)
    except JobNotFoundError:
        return "gone"
    except ResumeError as error:
        return str(error)
    return repr((summary.status, summary.alive, summary.updated_at, summary.counts)), (
        tick if summary.alive else 0
    )


def _digest(mark: object) -> str:
    return blake2b(repr(mark).encode("utf-8", "replace"), digest_size=8).hexdigest()


class Watch:
    """Asks for one job, or for all, as long as somebody listens."""

    def __init__(
        self, ask: Callable[[], str], limiter: CapacityLimiter, changed: Callable[[], None]
    ) -> None:
        """``changed`` is called before anybody is told."""
        self._ask = ask
        self._limiter = limiter
        self._changed = changed
        self.stamp = ""
        """Of the last look; empty before the first."""
        self.listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, listener: asyncio.Event) -> None:
        """Set the event whenever the stamp differs from the last one."""
        self.listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._look())

    def leave(self, listener: asyncio.Event) -> None:
        """Not any more."""
        self.listeners.discard(listener)
        if not self.listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self) -> None:
        while True:
            began = time.monotonic()
            try:
                stamp = await to_thread.run_sync(self._ask, limiter=self._limiter)
            except (ResumeError, OSError) as error:
                stamp = _digest(str(error))  # a store that is out is a change; so is its return
            if stamp != self.stamp:
                self.stamp = stamp
                self._changed()
                for listener in self.listeners:
                    listener.set()
            await asyncio.sleep(max(POLL_SECONDS, (time.monotonic() - began) / SHARE))


class Streams:
    """The open event streams."""

    def __init__(self, board: Board, changed: Callable[[], None]) -> None:
        """``changed`` is called when a job has changed, before anybody is told: an answer that was
        kept from before must not be what they get."""
        self._board = board
        self._changed = changed
        self._watches: dict[JobKey | None, Watch] = {}
        self._limiter: CapacityLimiter | None = None
        self.count = 0
        """Streams that are open."""
        self.closing = False
        """The server ends: streams end, too."""

    @property
    def is_full(self) -> bool:
        """Whether there may be no other stream."""
        return self.count >= STREAMS_AT_MOST

    def close(self) -> None:
        """End all streams."""
        self.closing = True
        for watch in self._watches.values():
            for listener in watch.listeners:
                listener.set()

    async def serve(self, key: JobKey | None, receive: Receive, send: Send) -> None:
        """Send a line whenever the job has changed, until the client has left."""
        self.count += 1
        listener = asyncio.Event()
        watch = self._watch_of(key)
        watch.join(listener)
        leaving = asyncio.create_task(_left(receive))
        try:
            await self._send_changes(watch, listener, leaving, send)
        except (OSError, TimeoutError, asyncio.TimeoutError):
            return  # the client is gone, or takes nothing any more
        finally:
            leaving.cancel()
            watch.leave(listener)
            if not watch.listeners:
                self._watches.pop(key, None)
            self.count -= 1

    def _watch_of(self, key: JobKey | None) -> Watch:
        if self._limiter is None:
            self._limiter = CapacityLimiter(2)
        if key not in self._watches:
            self._watches[key] = Watch(
                lambda: stamp_of(self._board, key), self._limiter, self._changed
            )
        return self._watches[key]

    async def _send_changes(
        self,
        watch: Watch,
        listener: asyncio.Event,
        leaving: asyncio.Task[None],
        send: Send,
    ) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        headers.append((b"cache-control", b"no-store"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        text = "retry: 3000\n\n" + (_changed(watch.stamp) if watch.stamp else "")
        while not (leaving.done() or self.closing):
            message = {"type": "http.response.body", "body": text.encode(), "more_body": True}
            await asyncio.wait_for(send(message), SEND_SECONDS)
            news = asyncio.create_task(listener.wait())
            await asyncio.wait(
                (news, leaving), timeout=ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            news.cancel()
            text = _changed(watch.stamp) if listener.is_set() else ": nothing new\n\n"
            listener.clear()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _changed(stamp: str) -> str:
    return f"event: changed\ndata: {stamp}\n\n"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamAnswer:
    """One event stream, as an application."""

    def __init__(self, streams: Streams, key: JobKey | None) -> None:
        self._streams = streams
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        await self._streams.serve(self._key, receive, send)
