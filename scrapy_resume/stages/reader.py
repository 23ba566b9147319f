"""Reads the inputs of a group: what is known is passed over, the rest is admitted.

Reading waits while enough tasks are there that have not begun, so an input of any length is read as
it is worked off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.stages.groups import BY_HAND
from scrapy_resume.stages.task import Key, KeyFunction, Task, check_input, key_text, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Waiter
    from scrapy_resume.stages.groups import TaskGroup
    from scrapy_resume.stages.stage_run import StageRun

logger = logging.getLogger("scrapy_resume")

READ_AT_ONCE: Final = 1_000
"""Inputs that are looked up in the store together. The first ones are fewer: work begins sooner."""

FIRST_READ: Final = 50

READ_SECONDS: Final = 0.01
"""How long reading holds up the event loop at most, if single inputs come quickly."""

LOOKED_AT: Final = 32
"""Inputs between two looks at the clock."""


class TaskReader:
    """Admits inputs to one group."""

    def __init__(
        self,
        run: StageRun,
        group: TaskGroup,
        key_of: KeyFunction,
        unit_of: Callable[[Any], str | None],
    ) -> None:
        self._run = run
        self._group = group
        self._key_of = key_of
        self._unit_of = unit_of
        self._room: Waiter[None] | None = None
        self.size = FIRST_READ
        """How many inputs to offer next."""
        self.reads_nothing = run.only_retried
        """The stage does only what was retried."""

    async def offer(self, inputs: Iterable[Any], *, waits: bool = True) -> bool:
        """Admit the inputs whose keys are new, and wait for room. Returns whether to go on: false
        if the stage stops. ``waits`` is false for who takes the tasks himself.

        Raises ``ConfigurationError`` for an input without a key, and ``NotRecordableError`` for one
        that cannot be stored.
        """
        run, group = self._run, self._group
        self.size = READ_AT_ONCE
        opened = run.admissions.open_identities
        asked: dict[bytes, tuple[Key, str, Any]] = {}
        count = 0
        for task_input in inputs:
            count += 1
            key = self._key_of(task_input)
            try:
                text, identity = key_text(key, run.codec)
            except ConfigurationError as error:
                raise ConfigurationError(f"the input {shown(task_input)}: {error}") from None
            if identity not in opened:
                asked.setdefault(identity, (key, text, task_input))
        known = await run.known(asked) if asked else {}
        if known:
            await self._take_over(known)
        group.counts["known"] += count - len(asked) + len(known)
        for identity, (key, text, task_input) in asked.items():
            if identity in known or identity in opened:
                continue
            task = Task(key, text, task_input, group.name)
            payload = check_input(run.admissions.task_codec, task)
            unit = self._unit_of(task_input)
            run.admissions.read(task, identity, payload, group.name if unit is None else unit)
        if len(known) < len(asked):
            run.groups.wake()
            run.committer.send_in_time()
        if waits:
            await self._wait_for_room()
        return not run.stopped

    async def _take_over(self, known: Mapping[bytes, int]) -> None:
        """If some of the known inputs are open tasks of a map that this run has not had, and which
        may have been renamed: this group does the tasks of that one."""
        run = self._run
        if not known.keys().isdisjoint(run.stored_by_hand) and BY_HAND not in run.groups.met:
            run.give_back_by_hand()
            run.groups.take_over(BY_HAND, self._group)
        foreign = run.foreign_groups()
        if not foreign:
            return
        for name in foreign.keys() & await run.open_groups(known.values()):
            logger.warning(
                "%s of this stage is no map of the program now, or has not come yet; its open keys"
                " are among the inputs of %s, which does them",
                name,
                self._group.name,
            )
            run.groups.take_over(name, self._group)

    async def _wait_for_room(self) -> None:
        run = self._run
        await run.committer.wait_for_room()
        while not run.stopped and run.waiting(self._group.name) >= READ_AT_ONCE:
            self._room = run.clock.waiter()
            await self._room.wait()

    def look_for_room(self) -> None:
        """A task was taken, or a batch answered: go on if there is room for more."""
        waiter = self._room
        if waiter is not None and (
            self._run.stopped or self._run.waiting(self._group.name) <= READ_AT_ONCE // 2
        ):
            self._room = None
            waiter.set(None)


def portions(inputs: Iterable[Any], reader: TaskReader) -> Iterator[list[Any]]:
    """The inputs in portions of ``reader.size``; smaller ones if inputs come slowly."""
    if reader.reads_nothing:
        return
    iterator = iter(inputs)
    while True:
        portion: list[Any] = []
        until = time.monotonic() + READ_SECONDS
        while len(portion) < reader.size:
            few = list(islice(iterator, 1 if not portion else LOOKED_AT))
            portion += few
            if not few:
                if portion:
                    yield portion
                return
            if time.monotonic() >= until:
                break
        yield portion


async def portions_async(
    inputs: AsyncIterable[Any], reader: TaskReader, run: StageRun
) -> AsyncIterator[list[Any]]:
    """The same of an asynchronous iterable: what has arrived, up to ``reader.size``."""
    if reader.reads_nothing:
        return
    arrived: list[Any] = []
    state: dict[str, Any] = {"ended": False, "error": None}
    changed: list[Waiter[None]] = []

    def tell() -> None:
        while changed:
            changed.pop().set(None)

    async def pull() -> None:
        try:
            async for task_input in inputs:
                arrived.append(task_input)
                tell()
                while len(arrived) >= reader.size:
                    await _wait(changed)
        except BaseException as error:
            state["error"] = error
            raise
        finally:
            state["ended"] = True
            tell()

    async def _wait(waiters: list[Waiter[None]]) -> None:
        waiter: Waiter[None] = run.clock.waiter()
        waiters.append(waiter)
        await waiter.wait()

    import asyncio

    task = asyncio.ensure_future(pull())
    run.when_stopped(tell)
    try:
        while not run.stopped:
            if arrived:
                portion, arrived[:] = list(arrived), []
                tell()
                yield portion
            elif state["ended"]:
                if state["error"] is not None:
                    raise state["error"]
                return
            else:
                await _wait(changed)
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        close = getattr(inputs, "aclose", None)
        if close is not None:
            await close()
