"""One database that is a feed, over a run: it follows the job's changes into a table.

    store → change log → RowMaker → Target: rows, which row an item is, position → committed
    together

The crawl never waits for it: what is not delivered is in the store, and read from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from scrapy_resume.databases.rows import RowMaker
from scrapy_resume.databases.target import FencedError, Target
from scrapy_resume.databases.writes import Outcome, Write
from scrapy_resume.errors import (
    DatabaseUnavailableError,
    ResumeError,
    RowsNotWrittenError,
    StoreUnavailableError,
)
from scrapy_resume.ports.clock import Clock, Timer, Waiter
from scrapy_resume.store.contract import Change, ChangePortion, LogMark
from scrapy_resume.wording import counted

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

LINGER_SECONDS: Final = 0.5
"""How long a feed that has caught up collects changes before it delivers them."""

CLAIM_SECONDS: Final = 2.0
"""Where several workers share the job: how often one that does not write looks whether the writer
is gone, and how often the writer asks for what the others have committed."""

REPORT_SECONDS: Final = 60.0
"""How often a feed that cannot be written says so."""

FAULTS_SHOWN: Final = 20


class Thread(Protocol):
    """Calls the database: see ``commits.store_thread.StoreThread``."""

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        unavailable: Callable[[StoreUnavailableError], None],
    ) -> None:
        """Run the call, again while the database is out; then ``done`` or ``failed``."""

    def give_up_soon(self) -> None:
        """From now on, do not repeat calls that find the database out."""

    def stop(self) -> None:
        """End after the calls that were submitted."""


class Source(Protocol):
    """The change log of the job, asked on the store's thread."""

    async def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """See ``ChangeLog``, as the next two."""

    async def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Items by their ids."""

    async def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether it is a position of this job's history."""

    def last_id(self) -> int:
        """The highest id of a change that this process knows of."""


@dataclass(frozen=True)
class FeedRules:
    """How a feed follows its job."""

    batch_size: int
    options: str
    """A digest of the options on which the rows depend."""
    shared_silence_seconds: float | None = None
    """How long the writer of a job of several workers is silent before another takes its place;
    ``None``: the job has one worker."""
    nothing_open: Callable[[], bool] = lambda: True
    """Whether all of the job is done, so that what the database has and the job has not can go."""
    item_failed: Callable[[], None] = lambda: None
    """Called for each item that cannot be written."""


class _AbandonedError(Exception):
    """The run ends at once."""


class DatabaseFeed:
    """See the module."""

    def __init__(
        self,
        name: str,
        target: Target,
        rows: RowMaker,
        source: Source,
        clock: Clock,
        thread: Thread,
        rules: FeedRules,
    ) -> None:
        self.name = name
        self.error: Exception | None = None
        """Why rows are missing; ``None``: nothing has failed."""
        self.delivered = False
        """All items are rows."""
        self.left = False
        """Another worker of the job writes the rest."""
        self.written = 0
        self.raised_by_caller = False
        """Whoever made the feed tells its error: it is not logged."""
        self._target = target
        self._rows = rows
        self._source = source
        self._clock = clock
        self._batch_size = rules.batch_size
        self._options = rules.options
        self._silence = rules.shared_silence_seconds
        self._nothing_open = rules.nothing_open
        self._item_failed = rules.item_failed
        self._thread = thread
        self._position: tuple[LogMark, ...] = ()
        self._dirty = True
        self._ended = False
        self._final = False
        self._abandoned = False
        self._waiter: Waiter[None] | None = None
        self._out_since: float | None = None
        self._reported_at = 0.0
        self._faults = 0

    # ---- what the run calls

    def committed(self) -> None:
        """The job may have changes that were not read yet."""
        self._dirty = True
        self._wake()

    def end(self, *, final: bool) -> None:
        """No more changes will come. ``final``: this run has to deliver all that are there."""
        self._ended, self._final, self._dirty = True, final, True
        self._wake()

    def abandon(self) -> None:
        """Write nothing more: the run ends at once."""
        self._abandoned = True
        self._thread.give_up_soon()
        self._thread.stop()
        self._wake()

    def give_up_if_out(self) -> None:
        """A closing run does not wait any longer for a database that cannot be used."""
        if self._out_since is not None:
            self.give_up_soon()

    def give_up_soon(self) -> None:
        """From here on, a database that cannot be used is not tried again."""
        self._thread.give_up_soon()

    @property
    def is_out(self) -> bool:
        """The database cannot be used at the moment."""
        return self._out_since is not None

    @property
    def rows(self) -> int:
        """Items of the job that are in the table."""
        return self._target.standing.rows

    def position(self) -> tuple[LogMark, ...]:
        """How far it has come, for reports."""
        return self._position

    def behind(self) -> int:
        """About how many changes of the job were not delivered."""
        through = max((mark.id for mark in self._position), default=0)
        return max(0, self._source.last_id() - through)

    async def follow(self) -> None:
        """Deliver until the end. Never raises."""
        try:
            while not await self._work():
                logger.warning("Feed %s: another worker writes it now", self.name)
        except _AbandonedError:
            pass
        except Exception as error:  # whatever a driver raises: the feed fails, and says so
            self._give_up(error)
        finally:
            self._thread.submit(self._target.close, _ignore, _ignore, _ignore)
            self._thread.stop()

    # ---- the work

    async def _work(self) -> bool:
        """Claim the feed and deliver until the end. False: another worker has claimed it since."""
        if not await self._claim():
            self.left = True
            return True
        try:
            await self._prepare()
            await self._follow()
            if self._final:
                await self._finish()
                self.delivered = True
            else:
                await self._call(self._target.release)
                self.left = True
        except FencedError:
            if self._silence is None:
                raise
            return False
        return True

    async def _claim(self) -> bool:
        """Whether it is this run's; else the run has ended before it was."""
        while True:
            silence = None if self._silence is None or self._final else self._silence
            if await self._call(partial(self._target.claim, silence)):
                return True
            if self._ended and not self._final:
                return False
            await self._wait(CLAIM_SECONDS)

    async def _prepare(self) -> None:
        standing = self._target.standing
        self._position = standing.position
        if standing.new:
            logger.info("Feed %s: the job begins to write it", self.name)
        elif self._target.table_is_gone:
            logger.warning("Feed %s: its table is gone: all items are written again", self.name)
            await self._compare()
        elif not await self._source.holds(standing.position):
            logger.warning(
                "Feed %s: the database has rows that this job has not given: the job was restored"
                " from an older copy, or commits of it were lost. All items are compared with their"
                " rows; rows without an item are removed when the job is completed",
                self.name,
            )
            await self._compare()
        elif standing.options != self._options:
            logger.info("Feed %s: its options have changed: all items are written again", self.name)
            await self._compare()
        await self._write_owed()

    async def _compare(self) -> None:
        await self._call(self._target.begin_comparison)
        self._position = ()
        self._dirty = True

    async def _follow(self) -> None:
        while (portion := await self._next()) is not None:
            outcome = await self._deliver(
                [self._rows.write_of(change) for change in portion.changes], portion.position
            )
            self._position = portion.position
            if outcome.owed_again:
                await self._write_owed()
            if not portion.more and not self._ended:
                await self._pause(LINGER_SECONDS)

    async def _next(self) -> ChangePortion | None:
        """The next changes; ``None``: there are none, and none will come."""
        while True:
            self._check()
            if self._dirty:
                self._dirty = False
                portion = await self._source.changes(self._position, self._batch_size)
                self._dirty |= portion.more
                if portion.changes:
                    return portion
                self._position = portion.position
            elif self._ended:
                return None
            elif self._silence is None:
                await self._wait(None)
            else:
                await self._wait(CLAIM_SECONDS)
                await self._call(self._target.beat)
                self._dirty = True

    async def _deliver(
        self, writes: Sequence[Write], position: Sequence[LogMark] | None
    ) -> Outcome:
        outcome = await self._call(lambda: self._target.deliver(writes, position))
        self.written += outcome.written
        for notice in outcome.notices:
            logger.info("Feed %s: %s", self.name, notice)
        for fault in outcome.faults:
            self._faults += 1
            self._item_failed()
            if self._faults <= FAULTS_SHOWN:
                logger.error("Feed %s: %s", self.name, fault)
        return outcome

    async def _write_owed(self) -> None:
        """Try items again that could not be written, and those that have to be written again."""
        owed = await self._call(self._target.owed)
        size = self._batch_size
        for start in range(0, len(owed), size):
            versions = [version for _, version, _ in owed[start : start + size]]
            found = await self._source.chosen(versions)
            if found:
                await self._deliver([self._rows.write_of(change) for change in found], None)

    async def _finish(self) -> None:
        """The end of the run, when all changes are delivered. Raises ``RowsNotWrittenError``."""
        if self._nothing_open():
            while lost := await self._call(lambda: self._target.unconfirmed(self._batch_size)):
                await self._deliver(lost, None)
                await self._write_owed()
        standing = self._target.standing
        if standing.new or standing.position != self._position:
            await self._deliver([], self._position)
        owed = [one for one in await self._call(self._target.owed) if one[2] is not None]
        if self._silence is not None:
            await self._call(self._target.release)
        if owed:
            raise RowsNotWrittenError(
                f"{counted(len(owed), 'item')} cannot be written, all others are: {owed[0][2]}"
            )

    def _give_up(self, error: Exception) -> None:
        self.error = error
        known = isinstance(error, ResumeError)
        if isinstance(error, DatabaseUnavailableError) and self.behind():
            self.error = DatabaseUnavailableError(
                f"{error} (about {counted(self.behind(), 'change')} behind)"
            )
        if self.raised_by_caller:
            return
        logger.error(
            "Feed %s is not whole: %s. Its items are in the store: when the cause is removed, the"
            " same command writes them.",
            self.name,
            self.error,
            exc_info=None if known else error,
        )

    # ---- waiting

    def _check(self) -> None:
        if self._abandoned:
            raise _AbandonedError

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set(None)

    async def _wait(self, seconds: float | None) -> None:
        """Until the run calls, or for so long."""
        self._check()
        waiter: Waiter[None] = self._clock.waiter()
        self._waiter = waiter
        timer: Timer | None = None
        if seconds is not None:
            timer = self._clock.call_later(seconds, waiter.set, None)
        await waiter.wait()
        if timer is not None:
            timer.cancel()
        self._check()

    async def _pause(self, seconds: float) -> None:
        """For so long, or until the end of the run."""
        deadline = self._clock.monotonic() + seconds
        while not self._ended and (left := deadline - self._clock.monotonic()) > 0:
            await self._wait(left)

    async def _call(self, call: Callable[[], T]) -> T:
        """The result of a call on the database's thread, which is repeated while it is out."""
        self._check()
        answer: Waiter[tuple[Any, Exception | None]] = self._clock.waiter()
        self._thread.submit(
            call,
            lambda value: answer.set((value, None)),
            lambda error: answer.set((None, error)),
            self._unavailable,
        )
        value, error = await answer.wait()
        self._check()
        if error is not None:
            raise error
        if self._out_since is not None:
            logger.info("Feed %s: it can be written again", self.name)
            self._out_since = None
        result: T = value
        return result

    def _unavailable(self, error: StoreUnavailableError) -> None:
        now = self._clock.monotonic()
        if self._out_since is None:
            self._out_since = now
        elif now - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = now
        logger.warning(
            "Feed %s cannot be written now: %s. The crawl goes on; about %s wait",
            self.name,
            error,
            counted(self.behind(), "change"),
        )


def _ignore(_: object) -> None:
    """Nobody waits for that answer."""
