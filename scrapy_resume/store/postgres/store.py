"""Jobs in a PostgreSQL database: many workers on one job.

Everything is in one schema, ``scrapy_resume``, which the first run makes. See docs/postgres.md.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from psycopg import Connection

from scrapy_resume.errors import (
    JobExistsError,
    JobLockedError,
    JobNotFoundError,
    StoreError,
    StoreUnavailableError,
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
from scrapy_resume.store.contract.copies import OwnCopy
from scrapy_resume.store.contract.leftovers import Deletable, Forget, Leftover, forget_nothing
from scrapy_resume.store.contract.verification import Verdict
from scrapy_resume.store.postgres.backup import read_job, verify_job, write_job
from scrapy_resume.store.postgres.connections import Link
from scrapy_resume.store.postgres.job import PostgresJob
from scrapy_resume.store.postgres.opening import open_job
from scrapy_resume.store.postgres.reader import PostgresReader
from scrapy_resume.store.postgres.recovery import hold_job, live_runs, recover_job
from scrapy_resume.store.postgres.schema import ensure_schema
from scrapy_resume.store.postgres.skip_tables import PostgresSkips
from scrapy_resume.store.postgres.skips import change_skips
from scrapy_resume.store.postgres.statements import OPENING
from scrapy_resume.store.postgres.steering import steer
from scrapy_resume.store.postgres.step_steering import steer_steps
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.delta_keys import up_to_first_keeper
from scrapy_resume.store.transaction.events import noted
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.storable_text import as_json, storable
from scrapy_resume.wording import counted

log = logging.getLogger("scrapy_resume")

DOOR_SECONDS: Final = 60.0
"""How long a run waits for others that open a job of its name: there may be a hundred."""

HOLD_TIMEOUT: Final = "10s"
"""How long a command waits for a job whose row a commit holds."""

KNOCK_SECONDS: Final = 0.1
"""The average interval between two attempts."""

DELETE = load_queries("postgres", "delete.sql")
CONTROL = load_queries("postgres", "control.sql")


class PostgresStore:
    """The jobs in a database."""

    shared = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._link = Link(url)

    @contextmanager
    def door(self, name: str) -> Iterator[None]:
        """A lock for deciding how to open a job of that name.

        Creates the schema if there is none. Raises ``StoreUnavailableError`` if the database
        cannot be reached, or others hold the door for over a minute, and ``ConfigurationError``
        if the role may not do what is needed.
        """
        deadline = time.monotonic() + DOOR_SECONDS
        with self._ready() as connection:
            while True:
                with connection.transaction():
                    values = {"name": storable(name)}
                    if connection.execute(OPENING["pass_door"], values).fetchall()[0][0]:
                        yield
                        return
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(
                        f"{self._link.place}: others have been opening a job {name!r} for "
                        f"{DOOR_SECONDS:g} s. Run the same command again."
                    )
                time.sleep(KNOCK_SECONDS * random.uniform(0.5, 1.5))

    def jobs(self) -> list[JobKey]:
        """All jobs, by name and number."""
        return PostgresReader(self._url).keys()

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests."""
        return PostgresReader(self._url).summary(key)

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none."""
        with self._ready() as connection:
            row = connection.execute(OPENING["latest"], {"name": storable(name)}).fetchone()
        if row is None:
            return None
        return PostgresReader(self._url).summary(JobKey(name, row[1]))

    def begin(self, key: JobKey, opening: Opening) -> PostgresJob:
        """Create the job and open it. Raises ``JobExistsError``."""
        with self._ready() as connection, connection.transaction():
            row = connection.execute(
                OPENING["create_job"],
                {
                    "name": storable(key.name),
                    "number": key.number,
                    "spider": opening.spider,
                    "arguments": as_json(opening.arguments),
                    "metadata": as_json(opening.metadata),
                    "input_hashes": as_json(opening.input_hashes),
                    "launch": as_json(opening.launch) if opening.launch else None,
                    "uid": token_hex(16),
                },
            ).fetchone()
            if row is None and self._has_run(connection, key):
                raise JobExistsError(f"{key} exists already, in {self._link.place}")
            self._carry(connection, key, opening)
        return open_job(self._link_of(opening), key, opening)

    def resume(self, key: JobKey, opening: Opening) -> PostgresJob:
        """Open a job that exists, or join its workers; recovers the rows of dead runs."""
        with self._ready():
            pass
        return open_job(self._link_of(opening), key, opening)

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody is on as ``cancelled``. The rows that its last run held are
        recovered if the job is resumed."""
        with self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            live = [run for run in live_runs(tables) if not run.is_dead]
            if live:
                raise JobLockedError.for_change(key, "cancelled", live[0].worker)
            tables.execute(OPENING["end_job"], status="cancelled", reason="cancelled")

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Retry requests (``pending``), park (``parked``) or skip them (``ignored``); how many.

        Workers that are on the job are notified of retries.
        """
        with self._ready() as connection:
            with connection.transaction():
                tables, _ = self._hold(connection, key)
                if not dry_run and (to is State.ignored or selection.skipped):
                    count = change_skips(tables, selection, undo=to is State.pending)
                else:
                    count = steer(tables, selection, to, dry_run=dry_run)
            if count and to is State.pending and not dry_run:
                tables.execute(CONTROL["announce_retry"])
        return count

    def steer_steps(
        self, key: JobKey, selection: StepSelection, to: StepState, *, dry_run: bool = False
    ) -> SteeredSteps:
        """Open steps of items again (``pending``), or give them up (``skipped``); as ``steer``."""
        with self._ready() as connection:
            with connection.transaction():
                tables, _ = self._hold(connection, key)
                done = steer_steps(tables, selection, to, dry_run=dry_run)
            if done.steps and to is StepState.pending and not dry_run:
                tables.execute(CONTROL["announce_retry"])
        return done

    def stop(self, key: JobKey) -> list[AskedRun]:
        """Ask the workers that are on the job to close gracefully."""
        with self._ready() as connection:
            with connection.transaction():
                tables, _ = self._hold(connection, key)
                live = [run for run in live_runs(tables) if not run.is_dead]
            tables.execute(CONTROL["ask_to_stop"], runs=[run.number for run in live])
        return [AskedRun(run.number, run.worker) for run in live]

    def recover(
        self, key: JobKey, crash_limit: int, timeout_seconds: float | None = None
    ) -> Recovery:
        """Take back the rows of workers that are dead or were silent for ``timeout_seconds``."""
        with self._ready() as connection, connection.transaction():
            connection.execute(OPENING["wait_at_most"], {"timeout": HOLD_TIMEOUT})
            tables, _ = self._hold(connection, key)
            return recover_job(tables, crash_limit, timeout_seconds)

    def delete(
        self,
        key: JobKey,
        *,
        completed_before: float | None = None,
        untouched_since: float | None = None,
        forget: Forget = forget_nothing,
    ) -> bool:
        """Delete a job that nobody is on: whole, or not at all."""
        with self._ready() as connection, connection.transaction():
            connection.execute(OPENING["wait_at_most"], {"timeout": HOLD_TIMEOUT})
            tables, status = self._hold(connection, key)
            live = [run for run in live_runs(tables) if not run.is_dead]
            if live:
                raise JobLockedError.for_change(key, "deleted", live[0].worker)
            (times,) = tables.execute(OPENING["times"]).fetchall()
            if not Deletable(completed_before, untouched_since).allows(status, *times):
                return False
            for statement in DELETE.values():
                tables.execute(statement)
            forget(key)
        return True

    def remove_leftovers(self, forget: Forget = forget_nothing) -> list[Leftover]:
        """Nothing is left: what changes a database is done whole, or not at all."""
        return []

    def backup(self, key: JobKey, target: Path) -> None:
        """Write the job as it is at one moment into a new file."""
        with self._ready() as connection:
            write_job(connection, key, self._link.place, target)

    def restore(self, source: Path) -> JobKey:
        """Put a job back; what was in flight is pending."""
        with self._ready() as connection:
            return read_job(connection, source, self._link.place)

    def verify(self, key: JobKey) -> Verdict:
        """Check the invariants of a job."""
        with self._ready() as connection:
            return verify_job(connection, key, self._link.place)

    def keep_copy(self, key: JobKey, epoch: int, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        """Raises ``StoreError``: see ``Store``."""
        raise StoreError(f"{key} is in PostgreSQL: pg_dump backs it up, with all other jobs")

    def copied_at(self, key: JobKey) -> None:
        """A job has no copy of its own."""

    def restore_damaged(self, name: str) -> None:
        """The server is repaired or restored as a whole."""

    def undelivered_events(self, key: JobKey) -> list[EventNote]:
        """The events of a job without a run that were not delivered."""
        with self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            return noted(tables.execute(OPENING["events"]).fetchall())

    def delete_events(self, key: JobKey, events: Sequence[int]) -> None:
        """Delete events that were delivered after the run had ended."""
        with suppress(JobNotFoundError), self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            tables.delete_events(events)

    def _link_of(self, opening: Opening) -> Link:
        """The connections of a run: the server ends a session that is idle within a transaction
        before the run counts as dead."""
        return Link(self._url, opening.orphan_seconds / 2)

    @contextmanager
    def _ready(self) -> Iterator[Connection]:
        """A connection to a database whose schema is up to date."""
        with self._link.alone() as connection:
            ensure_schema(connection, self._link.place)
            yield connection

    def _has_run(self, connection: Connection, key: JobKey) -> bool:
        """Whether the job has had a run; false after a start that died right after creating it."""
        with connection.transaction():
            tables, status = self._hold(connection, key)
            return status != "initialized" or bool(live_runs(tables))

    def _carry(self, connection: Connection, key: JobKey, opening: Opening) -> None:
        """Copy the keys of requests that gave items from earlier numbers; see ``Store.begin``."""
        tables, _ = self._hold(connection, key)
        values = {"name": storable(key.name), "number": key.number}
        rows = tables.execute(OPENING["earlier_jobs"], **values).fetchall()
        if rows:
            PostgresSkips(tables).carry(rows[0][0])
        keeps = opening.delta or bool(rows and rows[0][1])
        tables.execute(OPENING["keep_given"], delta=opening.delta, keeps=keeps)
        if not keeps:
            return
        earlier = up_to_first_keeper(rows)
        count = tables.execute(OPENING["carry_given"], earlier=earlier).rowcount
        log.info("%s knows %s that gave items in earlier numbers", key, counted(count, "request"))

    def _hold(self, connection: Connection, key: JobKey) -> tuple[PostgresTables, str]:
        job = hold_job(connection, key)
        if job is None:
            raise JobNotFoundError(f"there is no job {key} in {self._link.place}")
        tables = PostgresTables(job.id, 0, any_owner=False)
        tables.begin(connection, job.now)
        return tables, job.status
