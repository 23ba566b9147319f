"""Runs a function for each task of a group: concurrency, time limits, retries, results."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import message_of
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.model import State
from scrapy_resume.stages.outcomes import Fail, Retry, Skip
from scrapy_resume.stages.reader import TaskReader, portions, portions_async
from scrapy_resume.stages.results import is_async, is_generator, items_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.stages.stage_run import StageRun
    from scrapy_resume.stages.task import KeyFunction, Task

logger = logging.getLogger("scrapy_resume")

TASKS_AT_A_TURN: Final = 16
"""Tasks that never wait are run so many at a time before the event loop has its turn."""


# One field for each parameter of ``Stage.map``: always built by keyword.
@dataclass(frozen=True)
class MapPlan:
    """What ``map`` was told."""

    name: str
    function: Callable[[Any], Any] = field(repr=False)
    key_of: KeyFunction = field(repr=False)
    unit_of: Callable[[Any], str | None] = field(repr=False)
    concurrency: int
    max_attempts: int
    retry_delay_seconds: float
    timeout_seconds: float | None


class Mapper:
    """One ``map``, from the opening of its group to its end."""

    def __init__(self, run: StageRun, plan: MapPlan) -> None:
        self._run = run
        self._plan = plan
        self._tracker = run.tracker
        self.group = run.groups.add(plan.name)
        self.reader = TaskReader(run, self.group, plan.key_of, plan.unit_of)
        self.group.taken = self.reader.look_for_room
        self._is_async = is_async(plan.function)
        self._is_simple = plan.timeout_seconds is None and inspect.iscoroutinefunction(
            plan.function
        )
        self._backoff = Backoff(
            plan.retry_delay_seconds, run.settings.retry_delay_max_seconds, run.clock
        )
        self._cancelled = False
        self._exit: BaseException | None = None
        """A task has raised it to end the program."""
        self._workers: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Begin to run tasks: those of earlier runs are taken before any input was read."""
        self._run.mappers.add(self)
        self._workers = [asyncio.ensure_future(self._work()) for _ in range(self._plan.concurrency)]

    async def read(self, inputs: Any) -> None:
        """Read the inputs in the event loop. Raises what their iterator raises."""
        if isinstance(inputs, AsyncIterable):
            portioned = portions_async(inputs, self.reader, self._run)
            try:
                async for portion in portioned:
                    if not await self.reader.offer(portion):
                        break
            finally:
                await portioned.aclose()  # type: ignore[attr-defined]
        else:
            for portion in portions(inputs, self.reader):
                if not await self.reader.offer(portion):
                    break
                await asyncio.sleep(0)

    def read_to_end(self) -> None:
        """The inputs came to their end."""
        self.group.reading = False
        self._run.groups.wake()

    async def wait(self) -> dict[str, int]:
        """Wait until the group's tasks have ended, or those in hand when the stage stops. Returns
        the counts."""
        # Not gather: if this is cancelled, tasks in hand are cancelled by ``cancel`` alone.
        await asyncio.wait(self._workers)
        self._run.groups.remove(self.group)
        self._run.mappers.discard(self)
        for worker in self._workers:
            worker.result()
        if self._exit is not None:
            raise self._exit
        await self._run.committer.wait_committed()
        return dict(self.group.counts)

    async def finish_hand(self) -> None:
        """Take no more tasks, and wait for those in hand: reading has failed."""
        self.group.stopped = True
        self.group.end()
        await self.wait()

    async def cancel(self) -> None:
        """Cancel the tasks in hand: they are released."""
        self._cancelled = True
        self.group.stopped = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._run.groups.remove(self.group)
        self._run.mappers.discard(self)

    # ---- one task after the other

    async def _work(self) -> None:
        groups, group, committer = self._run.groups, self.group, self._run.committer
        turns = 0
        while (task := await groups.take(group)) is not None:
            try:
                await self._execute(task)
            finally:
                groups.ended(group)
            if committer.full:
                await committer.wait_for_room()
            turns += 1
            if turns % TASKS_AT_A_TURN == 0:
                await asyncio.sleep(0)

    async def _execute(self, task: Task) -> None:
        tracker, counts = self._tracker, self.group.counts
        if not self._run.admissions.at_once:
            await self._run.mark_begun(task)
        try:
            if self._is_simple:
                result = await self._plan.function(task.input)
                if is_generator(result):
                    result = await self._all_of(result)
            else:
                result = await self._result(task)
            items = items_of(result)
        except Retry as retry:
            counts["retried"] += 1
            tracker.tried_again(task, retry.after_seconds, failed=False)
        except Fail as error:
            self._failed(task, error)
        except Skip as reason:
            counts["ignored"] += 1
            tracker.skipped(task, str(reason))
        except asyncio.CancelledError as error:
            if self._cancelled or _is_cancelled():
                tracker.released(task)
                raise
            self._attempt_failed(task, error)
        except Exception as error:
            self._attempt_failed(task, error)
        except BaseException as error:  # SystemExit, KeyboardInterrupt: not in a task of asyncio's
            tracker.released(task)
            self._exit = error
            self.group.stopped = True
            self.group.end()
        else:
            state = tracker.done(task, items)
            counts["done" if state is State.done else "failed"] += 1
            self._run.ended(task, state)

    def _attempt_failed(self, task: Task, error: BaseException) -> None:
        failures = task.failures + 1
        if failures >= self._plan.max_attempts:
            self._failed(task, error)
            return
        self.group.counts["retried"] += 1
        seconds = self._backoff.seconds(failures) if self._plan.retry_delay_seconds else 0.0
        logger.info(
            "%s failed (%s: %s), attempt %d of %d; it is tried again in %.1f s",
            shown_task(task),
            type(error).__name__,
            message_of(error),
            failures,
            self._plan.max_attempts,
            seconds,
        )
        self._tracker.tried_again(task, seconds, failed=True)

    def _failed(self, task: Task, error: BaseException) -> None:
        self.group.counts["failed"] += 1
        name, message = type(error).__name__, message_of(error)
        logger.error("%s has failed: %s: %s", shown_task(task), name, message)
        self._tracker.failed(task, error)
        self._run.ended(task, State.failed)

    async def _result(self, task: Task) -> Any:
        seconds = self._plan.timeout_seconds
        if seconds is None:
            return await self._call(task)
        try:
            return await asyncio.wait_for(self._call(task), seconds)
        except (asyncio.TimeoutError, TimeoutError) as error:
            if type(error.__cause__ or error.__context__) is asyncio.CancelledError:
                hangs = "" if self._is_async else "; its thread may still be running"
                raise TimeoutError(f"no result within {seconds:g} s{hangs}") from None
            raise

    async def _call(self, task: Task) -> Any:
        function = self._plan.function
        if not self._is_async:
            result = await self._run.threads.call(_called, function, task.input)
        else:
            result = function(task.input)
        if inspect.isawaitable(result):
            result = await result
        return await self._all_of(result) if is_generator(result) else result

    async def _all_of(self, generator: Any) -> list[Any]:
        """What a generator gives; a plain one is run in a thread."""
        if isinstance(generator, AsyncIterable):
            return [item async for item in generator]
        items: list[Any] = await self._run.threads.call(list, generator)
        return items


def _called(function: Callable[[Any], Any], task_input: Any) -> Any:
    """Call a plain function in its thread; a generator is run to its end there."""
    result = function(task_input)
    return (
        list(result) if is_generator(result) and not isinstance(result, AsyncIterable) else result
    )


def _is_cancelled() -> bool:
    """Whether the current task of asyncio is cancelled, and not what it waits for alone."""
    task: Any = asyncio.current_task()
    # Python 3.10 does not tell: there the former is assumed.
    return bool(task.cancelling()) if hasattr(task, "cancelling") else True


def shown_task(task: Task) -> str:
    """A task in the log."""
    return f"{task.text:.200} ({task.group})"
