"""The protocols of stores and jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from scrapy_resume.model import JobKey, JobSummary, Phase, Selection, State, StepState
from scrapy_resume.store.contract.batch import Batch
from scrapy_resume.store.contract.changes import Change, ChangePortion, LogMark
from scrapy_resume.store.contract.committed import Committed
from scrapy_resume.store.contract.copies import OwnCopy, Restored
from scrapy_resume.store.contract.leftovers import Forget, Leftover, forget_nothing
from scrapy_resume.store.contract.notes import EventNote, FeedNote, LookedUp, StoredItem
from scrapy_resume.store.contract.session import (
    AskedRun,
    Closing,
    Opening,
    Orders,
    Recovery,
    Session,
)
from scrapy_resume.store.contract.step_selection import SteeredSteps, StepSelection
from scrapy_resume.store.contract.verification import Verdict

MARKED_AT_MOST: Final = 4096
"""Rows that can be marked at a time; those beyond are not marked, and a death is not counted as a
crash of theirs."""


class JobStore(Protocol):
    """One job, open for writing by one run."""

    session: Session
    closed: EventNote | None
    """After ``close``: the event of the end, if it was wanted, to be deleted once it was delivered
    (``Store.delete_events``)."""
    end_owed: EventNote | None
    """After a ``close`` that has completed the job: to be deleted once the crawl has come to its
    end. If it is still there, the process has died before that."""

    def commit(self, batch: Batch) -> Committed:
        """Keep a batch, whole or not at all; also a heartbeat."""

    def look_up(self, identities: Collection[bytes]) -> LookedUp:
        """Which of these identities belong to a row, as of the last commit. One that a row has
        taken on later may be left out. Nothing is written."""

    def pending_slots(self, rows: Collection[int]) -> set[str]:
        """The slots of those of these rows that are pending, as of the last commit."""

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row. Survives the death of the process; does not block.

        A death counts as a crash of the rows that are marked then.
        """

    def unmark(self, row: int) -> None:
        """The engine does not hold the row any more. Does not block."""

    def when_marked(self, tell: Callable[[], None]) -> bool:
        """Whether the marks are written, so that a death from here on counts as a crash of theirs.

        Does not block. If not, ``tell`` is called when they are, or when the store is out of
        reach; possibly on another thread.
        """

    def show_life(self) -> None:
        """The event loop runs. Does not block; to be called about every second."""

    def orders(self) -> Orders:
        """The orders to this run that are new; polled twice a second.

        Those that concern requests are executed by the next commit.
        """

    def is_last(self) -> bool | None:
        """Whether this run, which has nothing left to do and is about to close, is the last one.

        If it is, runs that open the job from now on see that, until this run closes. ``None``:
        nothing is left of the job, and other runs are on it that have not noticed yet, or have
        died since their last heartbeat: ask again.
        """

    def last_item(self) -> int:
        """The highest id of an item. On a shared store it is known only once the run is the last
        one: other workers commit items in any order."""

    def items_after(self, item_id: int, through: int, count: int) -> list[StoredItem]:
        """The first ``count`` items with ids above ``item_id`` and up to ``through``."""

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """See ``ChangeLog``, as the next two."""

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Items by their ids."""

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this job's history."""

    def start_items(self) -> int:
        """How many items of ``start()`` the job has. Reads the whole job: to be asked once."""

    def starts_not_met(self, count: int) -> list[tuple[str, str]]:
        """(URL, payload) of the first ``count`` requests that ``start()`` yielded in earlier runs,
        and has not yielded in this one. May read the whole job: to be asked once."""

    def close(self, closing: Closing) -> str:
        """Release the leased rows, write how the run ended, give the job up.

        Returns the job's status from then on: ``running`` if others go on with it.
        """

    def abandon(self) -> None:
        """Give the job up without writing anything, as a death would: the next run recovers it."""


class SharedJobStore(JobStore, Protocol):
    """One job of many workers."""

    def items_of_run(self, run: int, item_id: int, count: int) -> list[StoredItem]:
        """The first ``count`` items of a run with ids above ``item_id``."""

    def feeds_left(self) -> list[FeedNote] | None:
        """The files of feeds that are not settled, of this run and of those that have ended.

        For the last run only. ``None``: a run that has left the job may still be delivering its
        own: ask again. A run that has died is ended, so that it cannot go on with them.
        """


class Store(Protocol):
    """A place that keeps jobs."""

    shared: bool
    """Several workers may be on a job at a time: a run that resumes a live job joins it."""

    def door(self, name: str) -> AbstractContextManager[None]:
        """A lock for deciding how to open a job of that name: one run at a time holds it."""

    def jobs(self) -> list[JobKey]:
        """All jobs, damaged ones too, by name and number."""

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests. Raises ``JobNotFoundError`` and ``StoreError``."""

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none."""

    def begin(self, key: JobKey, opening: Opening) -> JobStore:
        """Create the job and open it. Raises ``JobExistsError``.

        With ``opening.delta`` it takes over, from the earlier numbers that are there, the keys
        of requests that are done and have given items: of those that are visible now, whatever
        became of the job. Once that was done, every number takes over what the one before knew,
        so that no number is missed when it is deleted.
        """

    def resume(self, key: JobKey, opening: Opening) -> JobStore:
        """Open a job that exists; recovers it first if its last run died.

        Raises ``JobLockedError`` if a live process owns it, the store is not shared and
        ``opening.force`` is false, and ``JobNotFoundError``.
        """

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody owns as ``cancelled``. Raises ``JobLockedError``."""

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Retry requests (``to`` is ``pending``), park them (``parked``) or skip them for good
        (``ignored``).

        What is skipped stays so in later numbers; with ``selection.skipped``, a retry undoes it.

        Returns how many there are; with ``dry_run`` nothing is changed. Requests that were never
        recorded while they were open, and those of every run, are left alone. A completed job
        with pending requests becomes ``paused``. On a live job its owner executes it, or it is
        executed beside the workers. Raises ``JobNotFoundError``, and ``StoreUnavailableError`` if a
        live owner does not answer: nothing is changed then.
        """

    def steer_steps(
        self, key: JobKey, selection: StepSelection, to: StepState, *, dry_run: bool = False
    ) -> SteeredSteps:
        """Open steps of items again (``to`` is ``pending``), or give them up (``skipped``).

        The selection has a name and states: of steps that have ended; only failed and parked ones
        can be given up. No page is fetched for it, and an item that is visible stays so until a
        step has given it something else. Everything else is as in ``steer``.
        """

    def stop(self, key: JobKey) -> list[AskedRun]:
        """Ask the live runs of a job to close gracefully; which ones. Does not wait for them.

        Empty if nobody crawls it. Raises ``JobNotFoundError``.
        """

    def recover(
        self, key: JobKey, crash_limit: int, timeout_seconds: float | None = None
    ) -> Recovery:
        """Take back now the rows of dead runs. A job that nobody is on becomes ``paused``.

        ``timeout_seconds``: on a shared store, a worker that was silent for longer is fenced as
        dead; ``None``: as it asked for itself. Raises ``JobNotFoundError``.
        """

    def delete(
        self,
        key: JobKey,
        *,
        completed_before: float | None = None,
        untouched_since: float | None = None,
        forget: Forget = forget_nothing,
    ) -> bool:
        """Delete a job that nobody crawls.

        With ``completed_before`` only if it was completed before that time (seconds since the
        epoch), and is still; with ``untouched_since`` only if nothing has changed in it since
        then; false: it is not so. Raises ``JobNotFoundError``, ``JobLockedError``,
        and ``StoreDamagedError`` or ``SchemaTooNewError`` for what is not known to be a job's.
        If the process dies meanwhile, the job is there, or ``remove_leftovers`` goes on.
        """

    def remove_leftovers(self, forget: Forget = forget_nothing) -> list[Leftover]:
        """Complete deletions that were interrupted, and remove what dead processes have left.

        What belongs to a live process is left alone: locks tell. What may hold commits, and whose
        deletion nobody has asked for, is kept and named. Never waits, creates nothing, and does
        not fail where nothing may be written.
        """

    def backup(self, key: JobKey, target: Path) -> None:
        """Write the job as it is at one moment into a new file, while it is crawled or not.

        ``target`` must not exist; on an error it does not. Raises ``JobNotFoundError`` and
        ``StoreError``.
        """

    def restore(self, source: Path) -> JobKey:
        """Put a job back that a store of this kind has written; what was in flight is pending.

        Raises ``JobExistsError``; ``StoreDamagedError`` for a file that is none, or not whole;
        ``ConfigurationError`` for one of another kind of store.
        """

    def keep_copy(self, key: JobKey, epoch: int, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        """Copy a job that this process crawls to its place beside it: whole, or the copy that was
        there before stays. Does not hold up the crawl; to be called on a thread of its own.

        ``is_stopped`` is called now and then, and may pause. ``None``: it was true, or the job is
        another run's by now. Raises ``StoreError``; a database's server is backed up as a whole,
        so stores in one raise it always.
        """

    def copied_at(self, key: JobKey) -> float | None:
        """The moment of the copy that ``keep_copy`` has made of a job, in seconds since the epoch;
        ``None``: there is none."""

    def restore_damaged(self, name: str) -> Restored | None:
        """Restore the latest job of a name from its copy, if it is damaged; in its ``door``.

        What is damaged is kept under another name. ``None``: it is whole, or has no copy, and
        nothing was changed. Raises ``JobLockedError``, and ``StoreDamagedError`` if the copy is
        damaged too.
        """

    def verify(self, key: JobKey) -> Verdict:
        """Check the invariants of a job, at one moment. Reads everything."""

    def undelivered_events(self, key: JobKey) -> list[EventNote]:
        """The events of a job without a run that were not delivered. Raises
        ``JobNotFoundError``."""

    def delete_events(self, key: JobKey, events: Sequence[int]) -> None:
        """Delete events that were delivered after the end of the run. The job may be gone."""
