"""Jobs as files: one SQLite database for each job, in a directory.

Deleting a job is unlinking a file, jobs don't share a write lock, damage stays in one job.
The directory has to be on a local disk: SQLite's WAL and the locks do not work on NFS or SMB.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from scrapy_resume.disk import sync_directory
from scrapy_resume.errors import (
    JobExistsError,
    JobLockedError,
    JobNotFoundError,
    StoreDamagedError,
)
from scrapy_resume.model import JobKey, JobSummary, Selection, State, StepState
from scrapy_resume.store.contract import (
    AskedRun,
    EventNote,
    Opening,
    Recovery,
    SteeredSteps,
    StepSelection,
)
from scrapy_resume.store.contract.copies import OwnCopy, Restored
from scrapy_resume.store.contract.leftovers import Deletable, Forget, Leftover, forget_nothing
from scrapy_resume.store.contract.verification import Verdict
from scrapy_resume.store.sqlite.backup import copy_job, key_of_backup, prepare, verify_job
from scrapy_resume.store.sqlite.control import (
    LOOK_SECONDS,
    STEP_VERBS,
    STOP,
    VERBS,
    change,
    count_in,
    encode_selection,
    encode_step_selection,
    send_and_wait,
    send_order,
    steps_in,
)
from scrapy_resume.store.sqlite.create import create_job, never_ran
from scrapy_resume.store.sqlite.errors import translated
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import (
    JobFile,
    check_library,
    connect,
    door_path,
    job_files,
    job_path,
    lock_path,
    make_directory,
    schema_version,
)
from scrapy_resume.store.sqlite.job import SqliteJob
from scrapy_resume.store.sqlite.leftovers import cleared, delete_job, remove_leftovers
from scrapy_resume.store.sqlite.locks import door_lock, is_held
from scrapy_resume.store.sqlite.opening import (
    claim,
    claimed,
    connected,
    open_job,
    ownership,
    recover_job,
    transaction,
)
from scrapy_resume.store.sqlite.own_copy import copied_at, keep_copy, restore_damaged
from scrapy_resume.store.sqlite.reader import read_summary, reading
from scrapy_resume.store.sqlite.statements import COMMIT, OPENING, Ownership
from scrapy_resume.store.sqlite.steering import steer
from scrapy_resume.store.sqlite.step_steering import steer_steps
from scrapy_resume.store.transaction.events import noted
from scrapy_resume.store.transaction.step_steering import steps_to_steer

log = logging.getLogger("scrapy_resume")

ANSWER_SECONDS = 10.0
"""How long a command waits for a live owner, which polls for orders twice a second."""


class SqliteStore:
    """The jobs in a directory, which is created when the first one begins."""

    shared = False

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).absolute()
        check_library()

    @contextmanager
    def door(self, name: str) -> Iterator[None]:
        """A lock for deciding how to open a job of that name.

        Raises ``StoreUnavailableError`` if another process holds it for over 10 s, and as
        ``begin`` does if the directory cannot be created.
        """
        with ExitStack() as stack:
            with translated(self.directory):
                make_directory(self.directory)
                stack.enter_context(door_lock(door_path(self.directory, name)))
            yield

    def jobs(self) -> list[JobKey]:
        """All jobs, damaged ones too, by name and number; none if there is no directory."""
        with translated(self.directory):
            return [job.key for job in job_files(self.directory)]

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests."""
        return self._summary(JobFile(key, self._existing(key)))

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none.

        Raises ``StoreDamagedError`` if its file is damaged: a person has to decide then which
        job to resume.
        """
        jobs = self._files(name)
        return self._summary(jobs[-1]) if jobs else None

    def begin(self, key: JobKey, opening: Opening) -> SqliteJob:
        """Create the job and open it.

        Raises ``JobExistsError``, and ``ConfigurationError`` or ``StoreUnavailableError`` if
        the directory cannot be created or written.
        """
        path = job_path(self.directory, key)
        with translated(self.directory):
            make_directory(self.directory)
            if path.exists():
                if not never_ran(path):
                    raise JobExistsError(f"{key} exists already, in {path}")
                delete_job(path, key, forget_nothing)
            earlier = [job for job in self._files(key.name) if job.key.number < key.number]
            create_job(path, key, opening, earlier)
        return open_job(path, key, opening)

    def resume(self, key: JobKey, opening: Opening) -> SqliteJob:
        """Open a job that exists; recovers it first if its last run died."""
        return open_job(self._existing(key), key, opening)

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody owns as ``cancelled``.

        The rows that its last run held are recovered if the job is resumed.
        """
        with self._unowned(key, "cancelled") as (connection, epoch):
            values = {"epoch": epoch + 1, "now": time.time()}
            connection.execute(OPENING["cancel_job"], values)

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Retry requests (``pending``), park (``parked``) or skip them (``ignored``); how many.

        While a process crawls the job, it does so on request, within about a second. Raises
        ``StoreUnavailableError`` if it does not answer.
        """
        if dry_run:
            with reading(self._existing(key)) as connection:
                return steer(connection, selection, to, dry_run=True)
        answer = self._order_or(
            key,
            (VERBS[to], encode_selection(selection)),
            lambda connection: {"requests": change(connection, selection, to)},
        )
        return count_in(answer)

    def steer_steps(
        self, key: JobKey, selection: StepSelection, to: StepState, *, dry_run: bool = False
    ) -> SteeredSteps:
        """Open steps of items again (``pending``), or give them up (``skipped``); as ``steer``."""
        selection = steps_to_steer(selection, to)  # before an owner is bothered with it
        if dry_run:
            with reading(self._existing(key)) as connection:
                return steer_steps(connection, selection, to, dry_run=True)
        answer = self._order_or(
            key,
            (STEP_VERBS[to], encode_step_selection(selection)),
            lambda connection: steer_steps(connection, selection, to)._asdict(),
        )
        return steps_in(answer)

    def _order_or(
        self,
        key: JobKey,
        order: tuple[str, object],
        execute: Callable[[sqlite3.Connection], dict[str, Any]],
    ) -> dict[str, Any]:
        """The live owner's answer to an order; or what it answers that is executed here, if there
        is no owner."""
        path = self._existing(key)
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            owned = _owned(path)
            if owned is not None:
                answer = send_and_wait(path, owned.epoch, order, until)
                if answer is not None:
                    return answer
                continue
            try:
                with self._unowned(key, "changed") as (connection, _):
                    return execute(connection)
            except JobLockedError:
                # Somebody has opened it meanwhile, or is about to.
                if time.monotonic() >= until:
                    raise
                time.sleep(LOOK_SECONDS)

    def stop(self, key: JobKey) -> list[AskedRun]:
        """Ask the process that crawls the job to close gracefully."""
        path = self._existing(key)
        owned = _owned(path)
        if owned is None or owned.run is None:
            return []
        send_order(path, owned.epoch, STOP)
        return [AskedRun(owned.run, str(owned.worker))]

    def recover(
        self, key: JobKey, crash_limit: int, timeout_seconds: float | None = None
    ) -> Recovery:
        """Take back the rows of a dead run. The lock shows at once that it is dead."""
        return recover_job(self._existing(key), key, crash_limit)

    def delete(
        self,
        key: JobKey,
        *,
        completed_before: float | None = None,
        untouched_since: float | None = None,
        forget: Forget = forget_nothing,
    ) -> bool:
        """Delete the files of a job that nobody crawls; its feeds stay."""
        path = self._existing(key)
        with self.door(key.name):
            return _delete(path, key, Deletable(completed_before, untouched_since), forget)

    def remove_leftovers(self, forget: Forget = forget_nothing) -> list[Leftover]:
        """Complete deletions that were interrupted, and remove what dead processes have left."""
        return remove_leftovers(self.directory, forget)

    @contextmanager
    def _unowned(self, key: JobKey, what: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction on a job that nobody crawls or can open meanwhile; and its epoch."""
        path = self._existing(key)
        with connected(path) as (connection, version, before):
            if is_held(lock_path(path, before.epoch)):
                raise JobLockedError.for_change(key, what, before.worker, before.started_at)
            with claimed(path, key, connection, version, before), transaction(connection):
                yield connection, before.epoch

    def backup(self, key: JobKey, target: Path) -> None:
        """Write the job as it is at one moment into a new file."""
        with translated(target):
            copy_job(self._existing(key), target)

    def restore(self, source: Path) -> JobKey:
        """Put a job back; what was in flight is pending."""
        key = key_of_backup(source)
        path = job_path(self.directory, key)
        with self.door(key.name):
            if os.path.lexists(path):
                raise JobExistsError(
                    f"{key} exists already, in {path}; delete it first (scrapy resume reset {key})"
                )
            fresh = cleared(path)
            with translated(self.directory):
                prepare(source, fresh)
                fresh.rename(path)
                sync_directory(path.parent)
            # Nobody died: there is no board, and no crash is counted.
            recover_job(path, key, crash_limit=1)
        return key

    def keep_copy(self, key: JobKey, epoch: int, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        """Copy a job that this process crawls, or has just closed, to its place beside it."""
        return keep_copy(self._existing(key), epoch, is_stopped)

    def copied_at(self, key: JobKey) -> float | None:
        """The moment of the copy of a job."""
        return copied_at(job_path(self.directory, key))

    def restore_damaged(self, name: str) -> Restored | None:
        """Restore the latest job of a name from its copy, if it is damaged."""
        with translated(self.directory):
            return restore_damaged(self.directory, name)

    def verify(self, key: JobKey) -> Verdict:
        """Check the invariants of a job."""
        return verify_job(self._existing(key))

    def undelivered_events(self, key: JobKey) -> list[EventNote]:
        """The events of a job without a run that were not delivered."""
        with reading(self._existing(key)) as connection:
            return noted(connection.execute(OPENING["events"]).fetchall())

    def delete_events(self, key: JobKey, events: Sequence[int]) -> None:
        """Delete events that were delivered after the run had ended."""
        with suppress(JobNotFoundError):
            path = self._existing(key)
            with translated(path):
                connection = connect(path, FILES["configure_owner"], mode="rw")
                try:
                    schema_version(connection, path)
                    with transaction(connection):
                        rows = [(event,) for event in events]
                        connection.executemany(COMMIT["delete_event"], rows)
                finally:
                    connection.close()

    def _files(self, name: str) -> list[JobFile]:
        with translated(self.directory):
            return job_files(self.directory, name)

    def _existing(self, key: JobKey) -> Path:
        path = job_path(self.directory, key)
        with translated(path):
            if not os.path.lexists(path):
                raise JobNotFoundError(f"there is no job {key} in {self.directory}")
        return path

    def _summary(self, job: JobFile) -> JobSummary:
        return replace(read_summary(job.path), key=job.key)


def _owned(path: Path) -> Ownership | None:
    """The owner of the job; ``None``: no live process owns it."""
    with reading(path) as connection:
        found = ownership(connection, path)
        return found if is_held(lock_path(path, found.epoch)) else None


def _delete(path: Path, key: JobKey, deletable: Deletable, forget: Forget) -> bool:
    """Delete a job, under the lock of its next epoch; see ``Store.delete``.

    Nothing but an ordinary file that is known to be a job's is ever deleted.
    """
    with translated(path):
        if path.is_symlink() or not path.is_file():
            raise StoreDamagedError(f"{path} is not an ordinary file; it is left alone")
        with reading(path) as connection:
            before = ownership(connection, path)
        if is_held(lock_path(path, before.epoch)):
            raise JobLockedError.for_change(key, "deleted", before.worker, before.started_at)
        lock = claim(path, key, before)
        try:
            with reading(path) as connection:
                if ownership(connection, path).epoch != before.epoch:
                    raise JobLockedError.being_opened(key)
                summary = read_summary(path)
            if not deletable.allows(summary.status, summary.completed_at, summary.updated_at):
                return False
            delete_job(path, key, forget)
        finally:
            lock.discard()
    return True
