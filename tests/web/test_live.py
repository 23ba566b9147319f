"""Event streams: what has changed is told at once, to few or to many, and nobody is held up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from scrapy_resume.model import JobKey
from scrapy_resume.web import live
from scrapy_resume.web.app import Dashboard
from scrapy_resume.web.live import STREAMS_AT_MOST
from tests.commands.conftest import Shelf

from .conftest import TOKEN, board_of
from .jobs import shop


class Caller:
    """One request to the application, as a server would make it."""

    def __init__(self, app: Dashboard, path: str, begun: bytes | None = None) -> None:
        """``begun``: it is a POST, and this is what comes of its body."""
        self.status = 0
        self.body = b""
        self.news = asyncio.Event()
        self._left = asyncio.Event()
        self.stuck = False
        """It takes nothing any more."""
        scope = {
            "type": "http", "method": "GET" if begun is None else "POST",
            "path": path, "raw_path": path.encode(),
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
            "headers": [
                (b"host", b"127.0.0.1"), (b"authorization", f"Bearer {TOKEN}".encode()),
                (b"x-scrapy-resume", b"test"),
            ],
            "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8070),
        }  # fmt: skip
        self._asked = False
        self._begun = begun
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            more = self._begun is not None
            return {"type": "http.request", "body": self._begun or b"", "more_body": more}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            if self.stuck:
                await asyncio.Event().wait()
            self.body += message["body"]
        self.news.set()

    def leave(self) -> None:
        self._left.set()

    async def until(self, text: bytes, count: int = 1, seconds: float = 10.0) -> None:
        """Wait until it has been told something so often."""
        deadline = time.monotonic() + seconds
        while self.body.count(text) < count:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), max(0.0, deadline - time.monotonic()))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(live, "SHARE", 1.0)


def in_loop(work: Any) -> None:
    """In a loop of its own, on a thread of its own: the tests' reactor has one in this one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def test_a_commit_and_a_death_are_told(shelf: Shelf) -> None:
    async def work() -> None:
        app = Dashboard(board_of(shelf))
        job = shelf.begin("books")
        one, all_jobs = Caller(app, "/jobs/books~1/stream"), Caller(app, "/stream")
        for caller in (one, all_jobs):
            await caller.until(b"changed")
        shelf.crawl(job, done=[[]])
        for caller in (one, all_jobs):
            await caller.until(b"changed", 2)
        shelf.crash(job)
        for caller in (one, all_jobs):
            await caller.until(b"changed", 3)
            caller.leave()
            await caller.task
        assert app.streams.count == 0

    in_loop(work())


def test_a_job_that_is_deleted_is_told(shelf: Shelf) -> None:
    async def work() -> None:
        app = Dashboard(board_of(shelf))
        shop(shelf)
        caller = Caller(app, "/jobs/books~1/stream")
        await caller.until(b"changed")
        shelf.store.delete(JobKey("books", 1))
        await caller.until(b"changed", 2)
        caller.leave()
        await caller.task

    in_loop(work())


@pytest.mark.parametrize(
    ("count", "at_most"),
    [(400, 20), pytest.param(10_000, STREAMS_AT_MOST, marks=pytest.mark.soak)],
)
def test_more_streams_than_may_be_are_not_opened_and_pages_are_served_beside_them(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, count: int, at_most: int
) -> None:
    monkeypatch.setattr(live, "STREAMS_AT_MOST", at_most)

    async def work() -> None:
        app = Dashboard(board_of(shelf))
        shop(shelf)
        asked: list[int] = []
        stamp_of = live.stamp_of

        def counting(*args: Any) -> str:
            asked.append(1)
            return stamp_of(*args)

        live.stamp_of = counting
        try:
            callers = [Caller(app, "/stream") for _ in range(count)]
            await callers[0].until(b"changed")
            for caller in callers:
                await caller.news.wait()
            statuses = [caller.status for caller in callers]
            assert statuses.count(200) == at_most
            assert statuses.count(503) == count - at_most
            began, before = time.monotonic(), len(asked)
            page = Caller(app, "/jobs/books~1")
            await page.task
            assert page.status == 200
            # However many listen, the store is asked by one.
            assert len(asked) - before <= (time.monotonic() - began) / live.POLL_SECONDS + 2
        finally:
            live.stamp_of = stamp_of
        for caller in callers:
            caller.leave()
        await asyncio.gather(*(caller.task for caller in callers))
        assert app.streams.count == 0
        again = Caller(app, "/stream")
        await again.until(b"changed")
        again.leave()
        await again.task

    in_loop(work())


def test_a_client_that_takes_nothing_holds_up_nobody_and_is_let_go(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SEND_SECONDS", 0.2)

    async def work() -> None:
        app = Dashboard(board_of(shelf))
        job = shelf.begin("books")
        stuck, well = Caller(app, "/jobs/books~1/stream"), Caller(app, "/jobs/books~1/stream")
        await stuck.until(b"changed")
        await well.until(b"changed")
        stuck.stuck = True
        for count in range(2, 5):
            shelf.crawl(job, done=[[]])
            await well.until(b"changed", count)
        await stuck.task
        assert app.streams.count == 1
        well.leave()
        await well.task

    in_loop(work())


def test_a_body_that_does_not_come_holds_up_nobody(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrapy_resume.web.app.BODY_SECONDS", 0.2)

    async def work() -> None:
        app = Dashboard(board_of(shelf))
        shop(shelf)
        slow = [Caller(app, "/api/jobs/books~1/retry", begun=b"{") for _ in range(50)]
        page = Caller(app, "/jobs/books~1")
        await page.task
        assert page.status == 200
        for caller in slow:
            await caller.task
            assert caller.status == 400
            assert b"in time" in caller.body

    in_loop(work())


def test_streams_end_with_the_server(shelf: Shelf) -> None:
    async def work() -> None:
        app = Dashboard(board_of(shelf))
        caller = Caller(app, "/stream")
        await caller.until(b"changed")
        app.streams.close()
        await caller.task
        assert caller.status == 200

    in_loop(work())
