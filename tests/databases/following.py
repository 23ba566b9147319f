"""A job in memory, and its feed that is followed to the end: no crawl, no store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from scrapy.extensions.feedexport import ItemFilter

from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.databases.address import parsed_address
from scrapy_resume.databases.database_feed import DatabaseFeed, FeedRules
from scrapy_resume.databases.options import parsed_options
from scrapy_resume.databases.rows import RowMaker
from scrapy_resume.databases.target import Identity, Target
from scrapy_resume.ports.clock import AsyncioClock
from scrapy_resume.store.contract import Change, ChangePortion, LogMark

STARTED_AT = 1_000.0

T = TypeVar("T")


class Job:
    """What a job has given so far. ``uid``: its own random id."""

    def __init__(self, uid: str = "job-1", name: str = "books#1") -> None:
        self.uid = uid
        self.name = name
        self.run = 1
        self._log: dict[tuple[int, int, str | None], Change] = {}
        self._items: dict[str, Any] = {}
        self._next = 1
        self.is_of_history: Callable[[Sequence[LogMark]], bool] = lambda position: True

    def put(self, item: Any, request: int, occurrence: int = 0, key: str | None = None) -> None:
        """An item becomes visible, in the place of an earlier version."""
        name = (0, 0, key) if key is not None else (request, occurrence, None)
        text = str(self._next)
        self._items[text] = item
        self._log[name] = Change(self._next, request, occurrence, key, text)
        self._next += 1

    def take_back(self, request: int, occurrence: int = 0, key: str | None = None) -> None:
        name = (0, 0, key) if key is not None else (request, occurrence, None)
        self._log[name] = Change(self._next, request, occurrence, key, None)
        self._next += 1

    def decoded(self, text: str) -> Any:
        return self._items[text]

    # ---- a Source

    async def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        after = position[0].id if position else 0
        later = sorted(one for one in self._log.values() if one.id > after)
        found = later[:count]
        more = len(later) > count
        through = found[-1].id if more else self._next - 1
        return ChangePortion(found, (LogMark(self.run, STARTED_AT, through),), more)

    async def chosen(self, ids: Sequence[int]) -> list[Change]:
        return [one for one in self._log.values() if one.id in ids and one.payload is not None]

    async def holds(self, position: Sequence[LogMark]) -> bool:
        return self.is_of_history(position)

    def last_id(self) -> int:
        return self._next - 1


def new_target(
    uri: str, job: Job, limit: float = 0.1, writer: str = "host:1", **options: Any
) -> Target:
    earlier = options.pop("earlier", ())
    identity = Identity(job.uid, lambda: earlier, job.name, writer, repr(sorted(options.items())))
    return Target(parsed_address(uri, "items"), parsed_options(uri, options), identity, limit)


def new_feed(
    uri: str,
    job: Job,
    clock: AsyncioClock,
    limit: float = 0.1,
    nothing_open: bool = True,
    shared: float | None = None,
    writer: str = "host:1",
    **options: Any,
) -> DatabaseFeed:
    scrapys: Mapping[str, Any] = {
        name: options[name] for name in ("fields", "item_classes") if name in options
    }
    accepts = ItemFilter(dict(scrapys)).accepts
    return DatabaseFeed(
        uri,
        new_target(uri, job, limit, writer, **options),
        RowMaker(scrapys, accepts, job.decoded),
        job,
        clock,
        StoreThread(f"feed {writer}", clock),
        FeedRules(
            batch_size=options.get("batch_size", 500),
            options=repr(sorted((k, v) for k, v in options.items() if k != "earlier")),
            shared_silence_seconds=shared,
            nothing_open=lambda: nothing_open,
        ),
    )


def follow(uri: str, job: Job, timeout_seconds: float = 0.0, **how: Any) -> DatabaseFeed:
    """Deliver all that the job has; the feed tells what came of it. A database that is out is
    waited for so long."""

    prepare = how.pop("prepare", None)

    async def run() -> DatabaseFeed:
        clock = AsyncioClock()
        feed = new_feed(uri, job, clock, **how)
        if prepare is not None:
            prepare(feed)
        feed.end(final=True)
        clock.call_later(timeout_seconds, feed.give_up_if_out)
        if timeout_seconds == 0:
            feed.give_up_soon()
        await feed.follow()
        return feed

    return in_a_loop(run)


def in_a_loop(run: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """On a thread of its own: that of the tests has pytest-twisted's loop."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: asyncio.run(run())).result()
