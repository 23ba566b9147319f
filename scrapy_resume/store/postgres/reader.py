"""The read side of a database of jobs. It never writes and never waits for a writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey, JobSummary, Selection, UnitSelection, UnitState
from scrapy_resume.store.contract import ChangeLog, Worker
from scrapy_resume.store.postgres.change_log import PostgresChangeLog
from scrapy_resume.store.postgres.connections import Link
from scrapy_resume.store.postgres.errors import translated
from scrapy_resume.store.postgres.processes import is_gone
from scrapy_resume.store.postgres.schema import version_of
from scrapy_resume.store.postgres.selection import POSTGRES, selected
from scrapy_resume.store.postgres.skip_tables import SKIPS
from scrapy_resume.store.postgres.step_reader import (
    READS as STEP_READS,
)
from scrapy_resume.store.postgres.step_reader import (
    PostgresStepReader,
    has_steps,
    streamed,
)
from scrapy_resume.store.transaction.job_summary import run_of, summary_of
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import (
    EVERYTHING,
    GROUPED,
    LISTED,
    in_hand,
    units_statement,
)
from scrapy_resume.store.transaction.storable_text import storable

READ: Final = load_queries("postgres", "read.sql")
FILTERS: Final = load_queries("postgres", "filters.sql")
UNITS: Final = {
    "units": READ["units"],
    "units_in_state": READ["units_in_state"],
    "chosen_units": FILTERS["chosen_units"],
}
"""By the names that ``units_statement`` gives."""

ROWS_AT_ONCE: Final = 500


class PostgresReader(PostgresStepReader):
    """Questions about the jobs in a database.

    Every method that takes a key raises ``JobNotFoundError``, ``SchemaTooNewError``,
    ``StoreUnavailableError`` or ``ConfigurationError``.
    """

    def __init__(self, url: str) -> None:
        self._link = Link(url)
        self._shared: Connection[Any] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """A context in which all questions share one connection."""
        if self._shared is not None:
            yield
            return
        with self._alone() as connection:
            self._shared = connection
            try:
                yield
            finally:
                self._shared = None

    def half_deleted(self) -> list[JobKey]:
        """None: a deletion is one transaction."""
        return []

    def keys(self) -> list[JobKey]:
        """All jobs by name and number; none if nothing was ever crawled into the database."""
        with self._reading() as connection:
            if version_of(connection, self._link.place) == 0:
                return []
            return [JobKey(*row) for row in connection.execute(READ["keys"])]

    def summary(self, key: JobKey) -> JobSummary:
        """The job, its counters and its last run; costs the same for a job of any size."""
        with self._job(key) as (connection, job):
            cursor = connection.cursor(row_factory=dict_row)
            row = cursor.execute(READ["summary"], {"job": job}).fetchall()[0]
            alive = [run for run in _runs(connection, job) if run["alive"]]
        return summary_of(key, row, alive[-1] if alive else row, alive=bool(alive))

    def runs(self, key: JobKey) -> list[dict[str, Any]]:
        """The runs, the first one first.

        Keys: ``number``, ``worker`` (host:pid), ``status``, ``alive`` (it is at work now),
        ``reason``, ``started_at``, ``beat_at`` and ``ended_at`` (seconds since the epoch;
        ``ended_at`` may be ``None``), ``now`` (by the server's clock), ``pages``, ``items``,
        ``units`` (named ones that ended in it), ``cursor`` (the id of the request that was done
        last in it, or ``None``), ``stats`` (a dict, or ``None``: it did not close), and ``custom``
        (its custom metrics, a dict).
        """
        with self._job(key) as (connection, job):
            return _runs(connection, job)

    def in_flight_urls(self, key: JobKey) -> list[str]:
        """The URLs of the requests that engines of the job hold, or held when they died, in the
        order in which they were found: they were sent, and have not ended."""
        with self._job(key) as (connection, job):
            return [url for (url,) in connection.execute(READ["in_flight_urls"], {"job": job})]

    def requests(
        self, key: JobKey, selection: Selection = EVERYTHING, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The selected requests, by id, in the keys of ``requests --json``.

        A snapshot of the moment of the first ``next()``; close the iterator if you leave early.
        """
        limit = selection.limit if limit is None else limit
        where, values = selected(selection)
        statement = (
            f"SELECT v.id, {LISTED} FROM scrapy_resume.requests AS v WHERE {where}"
            " ORDER BY v.id LIMIT %(count)s"
        )
        with self._job(key) as (connection, job):
            values = {**values, "job": job, "count": limit}
            marks = {row for (row,) in connection.execute(READ["marks_of_runs"], {"job": job})}
            yield from in_hand(streamed(connection, statement, values), marks)

    def failures(
        self, key: JobKey, examples: int, bound: int, lost_bound: int = 0
    ) -> list[dict[str, Any]]:
        """The failed requests by error and HTTP status, the most frequent first; then those that
        are done and lost items, by error.

        Of very many, the ``bound`` that were found last; of all requests, the ``lost_bound`` that
        were found last are looked at for lost items. Keys: ``error``, ``http_status``,
        ``count``, ``items_failed`` (0 for failed requests), ``error_message`` (of one of them),
        ``first_at`` and ``last_at`` (ISO 8601), ``examples`` (URLs, at most so many).
        """
        return self._listed(key, "failures", examples=examples, bound=bound, lost_bound=lost_bound)

    def statuses(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Requests by ``http_status``, with their ``count``, the most frequent first.

        Of very many, the ``bound`` that were found last.
        """
        return self._listed(key, "statuses", bound=bound)

    def hosts(self, key: JobKey, count: int, bound: int) -> list[dict[str, Any]]:
        """Requests by ``host`` (the download slot): ``total``, ``open``, ``done``, ``failed``
        (parked ones too). At most ``count`` hosts, those with the most requests.

        Of very many requests, the ``bound`` that were found last.
        """
        return self._listed(key, "hosts", count=count, bound=bound)

    def minutes(self, key: JobKey, since: float) -> list[dict[str, Any]]:
        """The counts of each minute from that time on, in order; minutes without a page are left
        out.

        Keys: ``at`` (its first second since the epoch), ``pages``, ``items``, ``done``,
        ``failed``, ``ignored``, and ``open`` (requests, at its end).
        """
        with self._job(key) as (connection, job):
            values = {"job": job, "since": int(since // 60)}
            return _dicts(connection, READ["minutes"], values)

    def units(
        self,
        key: JobKey,
        selection: UnitSelection | UnitState | None = None,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The units, those selected or those in one state, in the keys of ``units --json``.

        By ``UnitState``, then in the order in which they were found. Close the iterator if you
        leave early.
        """
        name, chosen = units_statement(selection)
        globs = [POSTGRES.pattern(storable(glob)) for glob in chosen.unit]
        with self._job(key) as (connection, job):
            values = {
                "job": job,
                "count": limit,
                "state": chosen.states[0] if chosen.states else None,
                "states": [int(state) for state in chosen.states] or None,
                "globs": globs or None,
                "names": None if chosen.units is None else list(map(storable, chosen.units)),
                "errors": list(chosen.error) or None,
            }
            statement = UNITS[name]
            if not has_steps(connection):  # a database of an older version
                statement = statement.replace("c.items_open", "0 AS items_open")
            yield from streamed(connection, statement, values)

    def unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many units are in each state."""
        return self._tally(key, "units")

    def named_unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many of them ``meta["resume_unit"]`` has named."""
        return self._tally(key, "named")

    def _tally(self, key: JobKey, column: str) -> dict[UnitState, int]:
        with self._job(key) as (connection, job):
            rows = _dicts(connection, READ["unit_tally"], {"job": job})
        counts = dict.fromkeys(UnitState, 0)
        for row in rows:
            counts[UnitState(row["state"])] += row.get(column, 0)
        return counts

    def place(self, key: JobKey, request: int) -> dict[str, Any] | None:
        """Where a run stood; see ``Reader.place``."""
        with self._job(key) as (connection, job):
            rows = _dicts(connection, READ["place"], {"job": job, "request": request})
        return rows[0] if rows else None

    def workers(self, key: JobKey) -> list[Worker]:
        """The workers that have not ended, those that died among them."""
        with self._job(key) as (connection, job):
            found = []
            for run in _all_runs(connection, job):
                if run["status"] != "running":
                    continue
                urls = connection.execute(READ["urls"], {"job": job, "ids": run["sent"]})
                found.append(
                    Worker(
                        run=run["number"],
                        name=run["worker"],
                        alive=run["alive"],
                        started_at=run["started_at"],
                        beat_at=run["beat_at"],
                        silent_seconds=max(0.0, run["now"] - run["beat_at"]),
                        silent_after=run["orphan_seconds"],
                        pages=run["pages"],
                        items=run["items"],
                        in_hand=[url for (url,) in urls],
                    )
                )
        return found

    def items(self, key: JobKey) -> Iterator[tuple[str | None, str]]:
        """(key or ``None``, item as the codec wrote it), in the order in which they became visible.

        A snapshot of the moment of the first ``next()``; close the iterator if you leave early.
        Memory does not grow with the number of items.
        """
        with self._job(key) as (connection, job):
            for row in streamed(connection, READ["items"], {"job": job}):
                yield row["key"], row["payload"]

    def count_by_state(self, key: JobKey, selection: Selection) -> dict[str, int]:
        """How many requests are selected, by state; see ``Reader``."""
        where, values = selected(selection)
        statement = f"SELECT {GROUPED} FROM scrapy_resume.requests AS v WHERE {where} GROUP BY 1"
        with self._job(key) as (connection, job):
            return dict(connection.execute(statement, {**values, "job": job}).fetchall())

    def skipped_count(self, key: JobKey) -> int:
        """How many requests are skipped for good."""
        with self._job(key) as (connection, job):
            return int(connection.execute(SKIPS["count"], {"job": job}).fetchall()[0][0])

    def history(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts, rounds of retry and ends by day; none in a database of an older version."""
        with self._job(key) as (connection, job):
            if not connection.execute(FILTERS["has_history"]).fetchall()[0][0]:
                return []
            return _dicts(connection, FILTERS["history"], {"job": job})

    def known_urls(self, key: JobKey, selection: Selection) -> tuple[set[str], set[str]]:
        """Which of the selection's URLs and identities the job has; see ``Reader``."""
        with self._job(key) as (connection, job):
            values = {
                "job": job,
                "urls": list(map(storable, selection.urls or ())),
                "identities": list(selection.identities),
            }
            urls = connection.execute(FILTERS["known_urls"], values).fetchall()
            identities = connection.execute(FILTERS["known_identities"], values).fetchall()
        return {url for (url,) in urls}, {text for (text,) in identities}

    def feed_notes(self, key: JobKey) -> list[tuple[str, str]]:
        """(name, record) of the feeds that a run may go on with."""
        with self._job(key) as (connection, job):
            return connection.execute(READ["feed_notes"], {"job": job}).fetchall()

    @contextmanager
    def change_log(self, key: JobKey) -> Iterator[ChangeLog]:
        """The job's change log; see ``Reader.change_log``."""
        with self._job(key) as (connection, job):
            yield PostgresChangeLog(connection, job)

    def recorded_texts(self, key: JobKey) -> Iterator[tuple[str, str]]:
        """What the codec has written; see ``Reader.recorded_texts``."""
        with self._job(key) as (connection, job):
            statements = [READ["recorded_texts"]]
            if has_steps(connection):
                statements.append(STEP_READS["payloads"])
            for statement in statements:
                for row in streamed(connection, statement, {"job": job}):
                    yield row["kind"], row["text"]

    def _listed(self, key: JobKey, name: str, **values: int) -> list[dict[str, Any]]:
        with self._job(key) as (connection, job):
            return _dicts(connection, READ[name], {**values, "job": job})

    @contextmanager
    def _reading(self) -> Iterator[Connection[Any]]:
        with ExitStack() as stack:
            connection = self._shared or stack.enter_context(self._alone())
            stack.enter_context(translated(self._link.place))
            stack.enter_context(connection.transaction())
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[Connection[Any]]:
        with self._link.alone() as connection:
            connection.read_only = True
            yield connection

    @contextmanager
    def _job(self, key: JobKey) -> Iterator[tuple[Connection[Any], int]]:
        with self._reading() as connection:
            row = None
            if version_of(connection, self._link.place):
                values = {"name": storable(key.name), "number": key.number}
                row = connection.execute(READ["find_job"], values).fetchone()
            if row is None:
                raise JobNotFoundError(f"there is no job {key} in {self._link.place}")
            yield connection, row[0]


def _runs(connection: Connection[Any], job: int) -> list[dict[str, Any]]:
    return [
        {**run_of(run), "alive": run["alive"], "now": run["now"]}
        for run in _all_runs(connection, job)
    ]


def _all_runs(connection: Connection[Any], job: int) -> list[dict[str, Any]]:
    """The runs with all their columns, and whether they are at work."""
    runs = _dicts(connection, READ["runs"], {"job": job})
    for run in runs:
        silent = run["silence"] > run["orphan_seconds"]
        run["alive"] = run["status"] == "running" and not (silent or is_gone(run["process"]))
    return runs


def _dicts(
    connection: Connection[Any], statement: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row).execute(statement, values).fetchall()
