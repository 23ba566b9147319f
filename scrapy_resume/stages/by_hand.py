"""Tasks that are done by hand: ``remaining``, ``should_skip``, ``done``, ``fail`` and ``skip``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from scrapy_resume.frontier.row import Row
from scrapy_resume.model import START, Phase, State
from scrapy_resume.stages.groups import BY_HAND, TaskGroup
from scrapy_resume.stages.reader import TaskReader, portions, portions_async
from scrapy_resume.stages.results import items_of
from scrapy_resume.stages.sources import have_ended
from scrapy_resume.stages.task import Key, KeyFunction, Task, check_input, key_text
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.stages.plain_loop import PlainLoop
    from scrapy_resume.stages.stage_run import StageRun

logger = logging.getLogger("scrapy_resume")

ASK_SECONDS: Final = 0.2
"""How long plain code waits for a task before it reads on."""

NAMED: Final = 5


class ByHand:
    """Keeps the tasks that the program has in hand."""

    def __init__(self, run: StageRun) -> None:
        self._run = run
        self._tracker = run.tracker
        self._in_hand: dict[bytes, Task] = {}
        """By identity: yielded, or stored and open, and without an end."""
        self._stored = run.stored_by_hand
        """Those of them that are stored and were not yielded."""
        self._ended: set[bytes] = set()
        """Tasks that have an end which is not committed."""
        self._readings: set[asyncio.Task[None]] = set()
        self._warned = False
        run.give_back_by_hand = self._give_back

    def _give_back(self) -> None:
        """A map does what was left of a loop: the program has been rewritten."""
        for identity in self._stored:
            task = self._in_hand.pop(identity, None)
            if task is not None:
                self._tracker.released(task)
        self._stored.clear()

    async def begin(self) -> None:
        """Take in hand what earlier runs have left open, or was retried: ``done`` may be told of it
        without ``remaining``. Other processes may have it, where there can be some."""
        run = self._run
        run.when_committed(self._committed)
        if run.session.sharing.shared or not run.session.frontier.pending.get(BY_HAND):
            return
        group = run.groups.add(BY_HAND)
        group.reading = False
        while (task := await run.groups.take(group)) is not None:
            run.groups.ended(group)
            row = task.row
            assert row is not None
            self._in_hand[row.identity] = task
            self._stored.append(row.identity)
            run.job.unmark(row.id)  # it is in hand, but nothing is done for it yet
        run.groups.remove(group)
        run.groups.met.discard(BY_HAND)  # who never asks for them leaves them to another program

    def _committed(self, identities: Iterable[bytes]) -> None:
        self._ended.difference_update(identities)

    # ---- remaining

    def _yielded(self, task: Task) -> tuple[Key, Any]:
        row = task.row
        assert row is not None
        self._in_hand[row.identity] = task
        if row.recorded:
            self._run.job.mark(row.id, Phase.answered)
        return task.key, task.input

    def _take_stored(self) -> Task | None:
        while self._stored:
            task = self._in_hand.get(self._stored.pop(0))
            if task is not None:
                return task
        return None

    def _open(self, key_of: KeyFunction, name: str) -> tuple[TaskGroup, TaskReader]:
        group = self._run.groups.add(name)
        reader = TaskReader(self._run, group, key_of, lambda _: None)
        group.taken = reader.look_for_room
        self._run.unfinished_readings += 1
        self._run.groups.met.add(BY_HAND)
        return group, reader

    async def remaining(
        self, inputs: Any, key_of: KeyFunction, name: str
    ) -> AsyncIterator[tuple[Key, Any]]:
        """Yield (key, input) of what has no end, in asyncio."""
        run = self._run
        while not run.stopped and (task := self._take_stored()) is not None:
            yield self._yielded(task)
        group, reader = self._open(key_of, name)
        reading = asyncio.ensure_future(self._read(inputs, reader, group))
        self._readings.add(reading)
        try:
            while (task := await run.groups.take(group)) is not None:
                run.groups.ended(group)
                yield self._yielded(task)
            if not run.stopped:
                await reading
                run.unfinished_readings -= have_ended(inputs, run.session.job)
        finally:
            self._readings.discard(reading)
            if not reading.done():
                reading.cancel()
            run.groups.remove(group)

    async def _read(self, inputs: Any, reader: TaskReader, group: TaskGroup) -> None:
        try:
            if isinstance(inputs, AsyncIterable):
                async for portion in portions_async(inputs, reader, self._run):
                    if not await reader.offer(portion):
                        return
            else:
                for portion in portions(inputs, reader):
                    if not await reader.offer(portion):
                        return
                    await asyncio.sleep(0)
        finally:
            group.reading = False
            self._run.groups.wake()

    def remaining_plain(
        self, plain: PlainLoop, inputs: Any, key_of: KeyFunction, name: str
    ) -> Iterator[tuple[Key, Any]]:
        """The same in plain code. The inputs are read in the caller's thread, between the tasks."""
        run = self._run
        if isinstance(inputs, AsyncIterable):
            yield from self._pulled(plain, self.remaining(inputs, key_of, name))
            return
        while not run.stopped and (task := self._take_stored()) is not None:
            yield self._yielded(task)

        async def opened() -> tuple[TaskGroup, TaskReader]:
            return self._open(key_of, name)

        async def next_task() -> Task | None:
            task = run.groups.take_at_once(group)
            if task is None and (not group.reading or run.waiting(group.name)):
                try:
                    limit = ASK_SECONDS if group.reading else None
                    task = await asyncio.wait_for(run.groups.take(group), limit)
                except (asyncio.TimeoutError, TimeoutError):
                    task = None
            if task is not None:
                run.groups.ended(group)
            return task

        group, reader = plain.run(opened())
        read = portions(inputs, reader)
        try:
            while not run.stopped:
                task = plain.run(next_task())
                if task is not None:
                    yield self._yielded(task)
                elif not group.reading:
                    break
                elif (portion := next(read, None)) is not None:
                    plain.run(reader.offer(portion, waits=False))
                else:
                    group.reading = False
            if not run.stopped:
                run.unfinished_readings -= have_ended(inputs, run.session.job)
        finally:
            plain.run(self._close(group))

    async def _close(self, group: TaskGroup) -> None:
        self._run.groups.remove(group)

    def _pulled(
        self, plain: PlainLoop, tasks: AsyncIterator[tuple[Key, Any]]
    ) -> Iterator[tuple[Key, Any]]:
        async def pull() -> tuple[Key, Any] | None:
            async for pair in tasks:
                return pair
            return None

        while (pair := plain.run(pull())) is not None:
            yield pair

    async def end(self) -> None:
        """The block has ended: stop reading, and name what was yielded and has no end."""
        for reading in list(self._readings):
            reading.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)
        stored = set(self._stored)
        open_keys = [
            task.text for identity, task in self._in_hand.items() if identity not in stored
        ]
        if open_keys and not self._run.stopped_early:
            logger.warning(
                "%s yielded, and neither done(), fail() nor skip() was told of %s: %s. The job is"
                " paused, and they come again",
                f"{counted(len(open_keys), 'key')} {'was' if len(open_keys) == 1 else 'were'}",
                "it" if len(open_keys) == 1 else "them",
                ", ".join(repr(text[:100]) for text in open_keys[:NAMED]),
            )
        for task in self._in_hand.values():
            self._tracker.released(task)
        self._in_hand.clear()

    # ---- outcomes

    def should_skip(self, key: Key) -> bool:
        """Whether a key needs nothing any more: it has an end, or somebody else has it. Blocks
        while the store is asked. Raises ``StoreError``."""
        _, identity = key_text(key, self._run.codec)
        if identity in self._in_hand:
            return False
        if identity in self._ended or identity in self._run.admissions.open_identities:
            return True
        looked_up = self._run.parts.thread.wait_for(lambda: self._run.job.look_up([identity]))
        return bool(looked_up.rows)

    async def done(self, key: Key, items: Any) -> bool:
        """A key is done, with these items. Returns false if it had an end before."""
        task = await self._task(key)
        if task is None:
            return False
        if isinstance(items, AsyncIterable):
            items = [item async for item in items]
        elif isinstance(items, Iterator):
            items = list(items)
        self._run.ended(task, self._tracker.done(task, items_of(items)))
        await self._run.committer.wait_for_room()
        return True

    async def fail(self, key: Key, error: object) -> bool:
        """A key has failed."""
        task = await self._task(key)
        if task is None:
            return False
        known = isinstance(error, BaseException)
        self._tracker.failed(task, cast("BaseException", error) if known else Failure(str(error)))
        self._run.ended(task, State.failed)
        await self._run.committer.wait_for_room()
        return True

    async def skip(self, key: Key, reason: str) -> bool:
        """There is nothing to do for a key."""
        task = await self._task(key)
        if task is None:
            return False
        self._tracker.skipped(task, str(reason))
        await self._run.committer.wait_for_room()
        return True

    async def _task(self, key: Key) -> Task | None:
        """The task of a key, in hand or new; ``None``: it has an end already."""
        run = self._run
        if run.failure is not None:
            raise run.failure
        run.groups.met.add(BY_HAND)
        text, identity = key_text(key, run.codec)
        task = self._in_hand.pop(identity, None)
        if task is None:
            known = identity in self._ended or identity in run.admissions.open_identities
            if known or await run.known([identity]):
                self._warn(text)
                return None
            task = self._new(key, text, identity)
        self._ended.add(identity)
        run.admissions.open_identities.setdefault(identity, task.row)
        return task

    def _new(self, key: Key, text: str, identity: bytes) -> Task:
        """A key that was not yielded: it is its own input."""
        run = self._run
        task = Task(key, text, key, BY_HAND)
        row = Row(run.admissions.new_id(), identity, recorded=False, parent=START)
        row.url, row.slot, row.unit = text, BY_HAND, BY_HAND
        row.payload = check_input(run.admissions.task_codec, task)
        row.rank = (0, 0, row.id)
        task.row = row
        run.parts.dispatcher.dispatch(row, cast("Request", task))
        return task

    def _warn(self, text: str) -> None:
        logger.log(
            logging.DEBUG if self._warned else logging.WARNING,
            "%.200s has an end already, or another process has it: what is said of it now is not"
            " stored. should_skip() and remaining() tell which keys have none (said once)",
            text,
        )
        self._warned = True


class Failure(Exception):
    """The error of a task that ``fail`` was told of with a text."""
