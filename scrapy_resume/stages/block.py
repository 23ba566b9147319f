"""The block of a stage: it opens the job, runs what is in it, and ends the run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import ConfigurationError, JobCompletedError
from scrapy_resume.run.crawl_end import EndOwedError
from scrapy_resume.run.refuse import tell_without_log
from scrapy_resume.settings.location import project_settings
from scrapy_resume.stages.answers import run_at_once
from scrapy_resume.stages.by_hand import ByHand
from scrapy_resume.stages.chain import CHAIN
from scrapy_resume.stages.ending import ERROR, StageEnd
from scrapy_resume.stages.opening import (
    OpenedStage,
    StagePlan,
    open_stage,
    stage_settings,
)
from scrapy_resume.stages.plain_loop import PlainLoop
from scrapy_resume.stages.stage_log import log_settings
from scrapy_resume.stages.stage_run import StageRun
from scrapy_resume.stages.stop_signals import STOP_SIGNALS
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self


logger = logging.getLogger("scrapy_resume")


class StageBlock:
    """What ``Stage`` does when its block begins and ends, and when it is told to stop."""

    def __init__(
        self,
        name: str,
        *,
        store: str | os.PathLike[str] | None = None,
        total: float | None = None,
        input_files: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] = (),
        on_input_change: str = "refuse",
        mode: str = "auto",
        force: bool = False,
        metadata: Mapping[str, Any] | None = None,
        feeds: Mapping[str, Any] | None = None,
        item_key: Any = None,
        progress_every: int = 100,
    ) -> None:
        # Eleven: what the public face of a stage has.
        single = isinstance(input_files, (str, os.PathLike))
        files = (input_files,) if single else input_files
        self._plan = StagePlan(
            name=name,
            store=store,
            total=total,
            input_files=tuple(os.fspath(file) for file in files),  # type: ignore[union-attr,arg-type]
            on_input_change=on_input_change,
            mode=mode,
            force=force,
            metadata=dict(metadata) if metadata is not None else {},
            feeds=dict(feeds or {}),
            item_key=item_key,
            progress_every=progress_every,
            module=_caller_module(),
        )
        self._opened: OpenedStage | None = None
        self._run: StageRun | None = None
        self._plain: PlainLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._by_hand: ByHand | None = None
        self._thread = 0
        self._stopping = False
        self._entered = False
        self._is_plain = False
        self._plan_metadata = dict(self._plan.metadata)
        self.status: str | None = None
        """After the block: the status that the job was left with; ``None``: it is not known."""

    # ---- the block

    def __enter__(self) -> Self:
        self._enter()
        self._is_plain = True
        opened = self._open()
        if opened is None:
            return self
        self._plain = PlainLoop(f"scrapy-resume stage {self._plan.name}")
        self._loop = self._plain.loop
        try:
            self._plain.run(self._begin(opened))
        except BaseException:
            self._plain.close()
            raise
        if STOP_SIGNALS.add(self):
            self.stop_soon()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        plain = self._plain
        if plain is None:
            return
        try:
            plain.run(self._end(error))
        finally:
            STOP_SIGNALS.remove(self)
            plain.close()

    async def __aenter__(self) -> Self:
        self._enter()
        opened = self._open()
        if opened is None:
            return self
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        await self._begin(opened)
        if STOP_SIGNALS.add(self):
            self.stop_soon()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._run is None:
            return
        try:
            await self._end(error)
        finally:
            STOP_SIGNALS.remove(self)

    def _enter(self) -> None:
        if self._entered:
            raise ConfigurationError(
                f"stage {self._plan.name!r} was begun before: make a new Stage for each block"
            )
        self._entered = True
        self._thread = threading.get_ident()

    def _open(self) -> OpenedStage | None:
        try:
            return open_stage(self._plan)
        except JobCompletedError as error:
            if self._plan.mode not in ("once", "auto"):
                raise
            logger.info("%s", error)
            tell_without_log(log_settings(), str(error))
            if isinstance(error, EndOwedError):
                settings = stage_settings(self._plan, project_settings())
                CHAIN.completed(open_location(settings.store), error.job, error.take_over())
            self.status = "completed"
            self._stopping = True
            return None

    async def _begin(self, opened: OpenedStage) -> None:
        try:
            run = StageRun(opened, self._plan)
            try:
                if opened.feeds is not None:
                    from scrapy_resume.stages.stage_feeds import begin_feeds

                    begin_feeds(opened.feeds, run)
                by_hand = ByHand(run)
                run.begin()
                await by_hand.begin()
            except BaseException:
                run.give_up()
                raise
        except BaseException:
            opened.job.abandon()
            raise
        self._run = run
        self._by_hand = by_hand

    async def _end(self, error: BaseException | None) -> None:
        assert self._run is not None
        assert self._by_hand is not None
        end = StageEnd(self._run, self._by_hand)
        trouble = await end.end(error)
        self.status = end.status
        if error is not None and end.reason == ERROR:
            await self._call_hook("on_failure", error)
        elif trouble is not None:
            await self._call_hook("on_failure", trouble)
        elif end.status == "completed":
            await self._call_hook("on_success")
        if trouble is not None and error is None:
            raise trouble

    async def _call_hook(self, name: str, *values: object) -> None:
        hook = getattr(self, name, None)
        if hook is not None:
            result = hook(*values)
            if inspect.isawaitable(result):
                await result

    # ---- signals

    def stop_soon(self) -> None:
        """Begin no more tasks; those in hand come to their end. May be called from any thread."""
        self._stopping = True
        if self._run is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._run.stop, "shutdown")

    def stop_now(self) -> None:
        """Cancel the tasks in hand too. In plain code raises ``KeyboardInterrupt`` if it is called
        in the thread of the block."""
        self.stop_soon()
        if self._task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        elif self._plain is not None and threading.get_ident() == self._thread:
            raise KeyboardInterrupt

    @property
    def stopping(self) -> bool:
        """Whether the stage was told to stop: by SIGINT, SIGTERM or ``scrapy resume stop``, or
        since nothing can be committed any more."""
        return self._stopping or (self._run is not None and self._run.stopped)

    @property
    def _live(self) -> StageRun:
        if self._run is None:
            raise ConfigurationError(
                f"stage {self._plan.name!r} is used outside of its block: `async with` or `with`"
            )
        return self._run

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """In plain code what the coroutine returns, in asyncio the coroutine."""
        if self._plain is not None:
            return self._plain.run(coroutine)
        if self._is_plain:
            return run_at_once(coroutine)
        return coroutine

    def _check_in_block(self) -> None:
        if self.status is None:
            raise ConfigurationError(
                f"stage {self._plan.name!r} is used outside of its block: `async with` or `with`"
            )


def _caller_module() -> str:
    """The module of the code that makes the stage."""
    frame = sys._getframe(2)
    return str(frame.f_globals.get("__name__", "__main__"))
