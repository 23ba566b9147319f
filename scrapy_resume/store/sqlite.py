"""Jobs as files: one SQLite database for each job, in a directory.

Deleting a job is unlinking a file, jobs don't share a write lock, damage stays in one job.
The directory has to be on a local disk: SQLite's WAL and the locks do not work on NFS or SMB.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from scrapy_resume.errors import JobExistsError, JobLockedError, JobNotFoundError, StoreError
from scrapy_resume.model import JobKey, JobSummary, Selection, State
from scrapy_resume.store.contract import EventNote, Opening
from scrapy_resume.store.events import noted
from scrapy_resume.store.jsontext import as_json
from scrapy_resume.store.locks import door_lock, is_held
from scrapy_resume.store.migrations import SCHEMA_VERSION, migrate, record_version
from scrapy_resume.store.queries import read_sql, split_statements
from scrapy_resume.store.sqlite_errors import translated
from scrapy_resume.store.sqlite_files import (
    CREATING,
    JobFile,
    beside,
    check_library,
    check_not_empty,
    connect,
    delete_job,
    door_path,
    job_files,
    job_path,
    leftovers,
    lock_path,
    make_directory,
    schema_version,
    sync,
)
from scrapy_resume.store.sqlite_files import SQL as FILES
from scrapy_resume.store.sqlite_job import SqliteJob, holder
from scrapy_resume.store.sqlite_opening import (
    claim,
    open_job,
    ownership,
    transaction,
)
from scrapy_resume.store.sqlite_read import read_summary, reading
from scrapy_resume.store.sqlite_steering import steer
from scrapy_resume.store.sqlite_tables import COMMIT, OPENING

log = logging.getLogger("scrapy_resume")

KEEPS_EVENTS: Final = 3
"""The first version of the schema that does."""


class SqliteStore:
    """The jobs in a directory, which is created when the first one begins."""

    shared = False

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).absolute()
        check_library()

    @contextmanager
    def door(self, name: str) -> Iterator[None]:
        """Held while a run decides how to open a job of that name: one at a time.

        Raises ``StoreUnavailableError`` if another process holds it for over 10 s, and as
        ``begin`` does if there can be no directory.
        """
        with ExitStack() as stack:
            with translated(self.directory):
                make_directory(self.directory)
                stack.enter_context(door_lock(door_path(self.directory, name)))
            yield

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none.

        Raises ``StoreDamagedError`` if its file is damaged: which one to go on with is then
        for people to decide.
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
                if not _never_ran(path):
                    raise JobExistsError(f"{key} exists already, in {path}")
                delete_job(path)
            _create(path, key, opening)
        return open_job(path, key, opening)

    def resume(self, key: JobKey, opening: Opening) -> SqliteJob:
        """Open a job that exists; recovers it first if its last run died."""
        return open_job(self._existing(key), key, opening)

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody owns as ``cancelled``.

        What its last run held is recovered when, and if, the job is gone on with.
        """
        with self._unowned(key, "cancelled") as (connection, epoch):
            values = {"epoch": epoch + 1, "now": time.time()}
            connection.execute(OPENING["cancel_job"], values)

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Have requests fetched again (``pending``) or never (``parked``); how many there were.

        Raises ``JobLockedError`` while a process crawls the job.
        """
        if dry_run:
            with reading(self._existing(key)) as connection:
                return steer(connection, selection, to, dry_run=True)
        with self._unowned(key, "changed") as (connection, _):
            return steer(connection, selection, to)

    @contextmanager
    def _unowned(self, key: JobKey, what: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction on a job that nobody crawls, nor opens meanwhile; its epoch."""
        path = self._existing(key)
        with translated(path, lambda: holder(path)):
            check_not_empty(path)
            connection = connect(path, FILES["configure_owner"], mode="rw")
            try:
                migrate(connection, schema_version(connection, path, SCHEMA_VERSION))
                before = ownership(connection, path)
                if is_held(lock_path(path, before.epoch)):
                    raise JobLockedError(
                        f"{key} cannot be {what}: {before.worker} crawls it. Stop that first; "
                        "the same command goes on with the job."
                    )
                lock = claim(path, key, before)
                try:
                    with transaction(connection):
                        yield connection, before.epoch
                finally:
                    lock.discard()
            finally:
                connection.close()

    def untold(self, key: JobKey) -> list[EventNote]:
        """Events of a job that nobody is on, of which nobody was told."""
        with reading(self._existing(key)) as connection:
            if schema_version(connection, self._existing(key), SCHEMA_VERSION) < KEEPS_EVENTS:
                return []
            return noted(connection.execute(OPENING["events"]).fetchall())

    def forget(self, key: JobKey, events: Sequence[int]) -> None:
        """Events were told after the run had ended."""
        with suppress(JobNotFoundError):
            path = self._existing(key)
            with translated(path):
                connection = connect(path, FILES["configure_owner"], mode="rw")
                try:
                    with transaction(connection):
                        rows = [(event,) for event in events]
                        connection.executemany(COMMIT["forget_event"], rows)
                finally:
                    connection.close()

    def prune(self, name: str, keep: int) -> list[JobKey]:
        """Delete completed jobs of that name, but for the latest ``keep``; 0 keeps all.

        Damaged files are left alone.
        """
        if keep <= 0:
            return []
        completed = [job for job in self._files(name) if self._is_completed(job)]
        pruned = completed[:-keep]
        for job in pruned:
            with translated(job.path):
                delete_job(job.path)
        return [job.key for job in pruned]

    def _files(self, name: str) -> list[JobFile]:
        with translated(self.directory):
            return job_files(self.directory, name)

    def _existing(self, key: JobKey) -> Path:
        path = job_path(self.directory, key)
        with translated(path):
            if not path.exists():
                raise JobNotFoundError(f"there is no job {key} in {self.directory}")
        return path

    def _summary(self, job: JobFile) -> JobSummary:
        return replace(read_summary(job.path), key=job.key)

    def _is_completed(self, job: JobFile) -> bool:
        try:
            summary = self._summary(job)
        except StoreError as error:
            log.warning("%s is left alone: %s", job.key, error)
            return False
        return summary.status == "completed" and not summary.alive


def _never_ran(path: Path) -> bool:
    """A start that died, or failed, between the creation of the job and its first run."""
    job = read_summary(path)
    return job.status == "initialized" and not job.alive


def _create(path: Path, key: JobKey, opening: Opening) -> None:
    """Write the job's file under another name, then give it its own: it is whole, or not there."""
    fresh = beside(path, CREATING)
    for leftover in leftovers(path):
        # Of a start that died here nothing is missed; the rest belonged to a job.
        if not leftover.name.startswith(fresh.name):
            log.warning("%s was left behind without its job's file; it is removed", leftover)
        leftover.unlink()
    # 0600 from the first moment; SQLite gives its other files the same mode.
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = connect(fresh, FILES["configure_creator"], mode="rw")
    try:
        with transaction(connection):
            _fill(connection, key, opening)
        connection.execute(FILES["use_wal"]).fetchall()
    finally:
        connection.close()
    sync(fresh)
    fresh.rename(path)
    sync(path.parent)


def _fill(connection: sqlite3.Connection, key: JobKey, opening: Opening) -> None:
    for statement in split_statements(read_sql("sqlite", "schema.sql")):
        connection.execute(statement)
    record_version(connection, SCHEMA_VERSION)
    connection.execute(
        OPENING["create_job"],
        {
            "name": key.name.encode("utf-8", "backslashreplace").decode(),
            "number": key.number,
            "spider": opening.spider,
            "now": time.time(),
            "arguments": as_json(opening.arguments),
            "metadata": as_json(opening.metadata),
            "input_hashes": as_json(opening.input_hashes),
        },
    )
