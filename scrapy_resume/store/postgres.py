"""Jobs in a PostgreSQL database: many workers on one job.

Everything is in one schema, ``scrapy_resume``, which the first run makes. See docs/postgres.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from psycopg import Connection

from scrapy_resume.errors import JobExistsError, JobLockedError, JobNotFoundError
from scrapy_resume.model import JobKey, JobSummary, Selection, State
from scrapy_resume.store.contract import EventNote, Opening
from scrapy_resume.store.events import noted
from scrapy_resume.store.jsontext import as_json, storable
from scrapy_resume.store.postgres_job import PostgresJob
from scrapy_resume.store.postgres_link import Link
from scrapy_resume.store.postgres_opening import open_job
from scrapy_resume.store.postgres_read import PostgresReader
from scrapy_resume.store.postgres_recovery import hold_job, live_runs
from scrapy_resume.store.postgres_schema import ensure_schema
from scrapy_resume.store.postgres_steering import steer
from scrapy_resume.store.postgres_tables import OPENING, PostgresTables
from scrapy_resume.store.queries import load_queries

log = logging.getLogger("scrapy_resume")

DOOR_TIMEOUT = "10s"

DELETE = load_queries("postgres", "delete.sql")


class PostgresStore:
    """The jobs in a database."""

    shared = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._link = Link(url)

    @contextmanager
    def door(self, name: str) -> Iterator[None]:
        """Held while a run decides how to open a job of that name: one at a time.

        Makes the schema if there is none. Raises ``StoreUnavailableError`` if the database
        cannot be reached, or another process holds the door for over 10 s, and
        ``ConfigurationError`` if the role may not do what is needed.
        """
        with self._link.alone() as connection:
            ensure_schema(connection, self._link.place)
            with connection.transaction():
                connection.execute(OPENING["wait_at_most"], {"timeout": DOOR_TIMEOUT})
                connection.execute(OPENING["pass_door"], {"name": storable(name)})
                yield

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none."""
        with self._ready() as connection:
            row = connection.execute(OPENING["latest"], {"name": storable(name)}).fetchone()
        if row is None:
            return None
        return PostgresReader(self._url).summary(JobKey(name, row[1]))

    def begin(self, key: JobKey, opening: Opening) -> PostgresJob:
        """Create the job and open it. Raises ``JobExistsError``."""
        with self._ready() as connection:
            row = connection.execute(
                OPENING["create_job"],
                {
                    "name": storable(key.name),
                    "number": key.number,
                    "spider": opening.spider,
                    "arguments": as_json(opening.arguments),
                    "metadata": as_json(opening.metadata),
                    "input_hashes": as_json(opening.input_hashes),
                },
            ).fetchone()
            if row is None and self._has_run(connection, key):
                raise JobExistsError(f"{key} exists already, in {self._link.place}")
        return open_job(self._link_of(opening), key, opening)

    def resume(self, key: JobKey, opening: Opening) -> PostgresJob:
        """Open a job that exists, or join those who are on it; recovers what the dead held."""
        with self._ready():
            return open_job(self._link_of(opening), key, opening)

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody is on as ``cancelled``. What its last run held is recovered
        when, and if, the job is gone on with."""
        with self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            live = [run for run in live_runs(tables) if not run.is_dead]
            if live:
                raise JobLockedError(f"{key} cannot be cancelled: {live[0].worker} crawls it")
            tables.execute(OPENING["end_job"], status="cancelled", reason="cancelled")

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Have requests fetched again (``pending``) or never (``parked``); how many there were.

        Workers that are on the job see it with their next look.
        """
        with self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            return steer(tables, selection, to, dry_run=dry_run)

    def untold(self, key: JobKey) -> list[EventNote]:
        """Events of a job that nobody is on, of which nobody was told."""
        with self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            return noted(tables.execute(OPENING["events"]).fetchall())

    def forget(self, key: JobKey, events: Sequence[int]) -> None:
        """Events were told after the run had ended."""
        with suppress(JobNotFoundError), self._ready() as connection, connection.transaction():
            tables, _ = self._hold(connection, key)
            tables.forget_events(events)

    def prune(self, name: str, keep: int) -> list[JobKey]:
        """Delete completed jobs of that name, but for the latest ``keep``; 0 keeps all."""
        if keep <= 0:
            return []
        pruned = []
        with self._ready() as connection:
            values = {"name": storable(name), "keep": keep}
            for job, number in connection.execute(OPENING["prunable"], values).fetchall():
                delete_job(connection, job)
                pruned.append(JobKey(name, number))
        return sorted(pruned, key=lambda key: key.number)

    def _link_of(self, opening: Opening) -> Link:
        """Of a run: one that stands still is cut off before it counts as dead."""
        return Link(self._url, opening.orphan_seconds / 2)

    @contextmanager
    def _ready(self) -> Iterator[Connection]:
        """A connection to a database that has the schema."""
        with self._link.alone() as connection:
            ensure_schema(connection, self._link.place)
            yield connection

    def _has_run(self, connection: Connection, key: JobKey) -> bool:
        """False after a start that died between the creation of the job and its first run."""
        with connection.transaction():
            tables, status = self._hold(connection, key)
            return status != "initialized" or bool(live_runs(tables))

    def _hold(self, connection: Connection, key: JobKey) -> tuple[PostgresTables, str]:
        job = hold_job(connection, key)
        if job is None:
            raise JobNotFoundError(f"there is no job {key} in {self._link.place}")
        tables = PostgresTables(job.id, 0, any_owner=False)
        tables.begin(connection, job.now)
        return tables, job.status


def delete_job(connection: Connection, job: int) -> None:
    """Delete a job, table by table, each in a transaction of its own; the job's row comes last."""
    for statement in DELETE.values():
        connection.execute(statement, {"job": job})
