"""The read side of a directory of jobs. It never writes and never waits for a writer.

It works beside a live crawl, on a job whose process died, and on files in a directory that
cannot be written. Every method opens the job's file and closes it again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from scrapy_resume.errors import JobNotFoundError, StoreUnavailableError
from scrapy_resume.model import JobKey, JobSummary, Selection, UnitSelection, UnitState
from scrapy_resume.store.contract import ChangeLog, Worker
from scrapy_resume.store.sqlite.change_log import SqliteChangeLog
from scrapy_resume.store.sqlite.cursors import ROWS_AT_ONCE, as_dicts
from scrapy_resume.store.sqlite.errors import CANTOPEN, READONLY, result_code, translated
from scrapy_resume.store.sqlite.files import (
    SQL as FILES,
)
from scrapy_resume.store.sqlite.files import (
    beside,
    board_path,
    check_not_empty,
    connect,
    half_deleted,
    job_files,
    job_path,
    lock_path,
    schema_version,
)
from scrapy_resume.store.sqlite.inflight_board import read_board
from scrapy_resume.store.sqlite.locks import is_held
from scrapy_resume.store.sqlite.selection import SQLITE, add_functions, selected
from scrapy_resume.store.sqlite.skip_tables import SKIPS
from scrapy_resume.store.sqlite.step_reader import (
    READS as STEP_READS,
)
from scrapy_resume.store.sqlite.step_reader import (
    SqliteStepReader,
    has_steps,
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

READ: Final = load_queries("sqlite", "read.sql")
FILTERS: Final = load_queries("sqlite", "filters.sql")
UNITS: Final = {
    "units": READ["units"],
    "units_in_state": READ["units_in_state"],
    "chosen_units": FILTERS["chosen_units"],
}
"""By the names that ``units_statement`` gives."""

NO_LIMIT: Final = -1

SILENT_AFTER_SECONDS: Final = 30.0
"""Of a worker of an older version, which has not stored it."""


class SqliteReader(SqliteStepReader):
    """Questions about the jobs in a directory.

    Every method that takes a key raises ``JobNotFoundError``, ``StoreDamagedError``,
    ``SchemaTooNewError`` or ``StoreUnavailableError``.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def together(self) -> AbstractContextManager[None]:
        """Does nothing: opening a file is cheap."""
        return nullcontext()

    def keys(self) -> list[JobKey]:
        """All jobs, damaged ones included, by name and number; none if there is no directory."""
        with translated(self.directory):
            return [job.key for job in job_files(self.directory)]

    def half_deleted(self) -> list[JobKey]:
        """The jobs whose deletion was interrupted, and which no other question finds."""
        return half_deleted(self.directory)

    def path(self, key: JobKey) -> Path:
        """The job's file, whether it exists or not."""
        return job_path(self.directory, key)

    def _reading_job(self, key: JobKey) -> AbstractContextManager[sqlite3.Connection]:
        return reading(self.path(key))

    def summary(self, key: JobKey) -> JobSummary:
        """The job, its counters and its last run; costs the same for a job of any size."""
        return replace(read_summary(self.path(key)), key=key)

    def runs(self, key: JobKey) -> list[dict[str, Any]]:
        """The runs, the first one first.

        Keys: ``number``, ``worker`` (host:pid), ``status`` (``running`` as long as the run has
        not ended in any way that it could write down), ``reason``, ``started_at``, ``beat_at``
        and ``ended_at`` (seconds since the epoch; ``ended_at`` may be ``None``), ``pages``,
        ``items``, ``units`` (named ones that ended in it), ``cursor`` (the id of the request
        that was done last in it, or ``None``), ``stats`` (a dict, or ``None``: it did not close),
        and ``custom`` (its custom metrics, a dict).
        """
        with reading(self.path(key)) as connection:
            runs = list(as_dicts(connection.execute(READ["runs"])))
        return [run_of(run) for run in runs]

    def in_flight_urls(self, key: JobKey) -> list[str]:
        """The URLs of the requests that the engine of the last run holds, or held when it died, in
        the order in which they were found: they were sent, and have not ended."""
        with reading(self.path(key)) as connection:
            ids = json.dumps(sorted(self._marks(connection, key)))
            return [url for (url,) in connection.execute(READ["in_flight_urls"], (ids,))]

    def _marks(self, connection: sqlite3.Connection, key: JobKey) -> Collection[int]:
        """The rows that the last run has marked as in flight, and not unmarked."""
        (epoch,) = connection.execute(READ["run_epoch"]).fetchone()
        with suppress(OSError):
            return read_board(board_path(self.path(key)), epoch)
        return ()

    def requests(
        self, key: JobKey, selection: Selection = EVERYTHING, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The selected requests, by id, in the keys of ``requests --json``.

        A snapshot of the moment of the first ``next()``; close the iterator if you leave early.
        """
        limit = selection.limit if limit is None else limit
        count = NO_LIMIT if limit is None else limit
        source, where, values = selected(selection)
        statement = f"SELECT v.id, {LISTED} FROM {source} WHERE {where} ORDER BY v.id LIMIT :count"
        with reading(self.path(key)) as connection:
            add_functions(connection)
            rows = as_dicts(connection.execute(statement, {**values, "count": count}))
            yield from in_hand(rows, self._marks(connection, key))

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
        with reading(self.path(key)) as connection:
            values = {"examples": examples, "bound": bound, "lost_bound": lost_bound}
            groups = list(as_dicts(connection.execute(READ["failures"], values)))
        for group in groups:
            group["examples"] = json.loads(group["examples"])
        return groups

    def statuses(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Requests by ``http_status``, with their ``count``, the most frequent first.

        Of very many, the ``bound`` that were found last.
        """
        with reading(self.path(key)) as connection:
            return list(as_dicts(connection.execute(READ["statuses"], {"bound": bound})))

    def hosts(self, key: JobKey, count: int, bound: int) -> list[dict[str, Any]]:
        """Requests by ``host`` (the download slot): ``total``, ``open``, ``done``, ``failed``
        (parked ones too). At most ``count`` hosts, those with the most requests.

        Of very many requests, the ``bound`` that were found last.
        """
        with reading(self.path(key)) as connection:
            values = {"count": count, "bound": bound}
            return list(as_dicts(connection.execute(READ["hosts"], values)))

    def minutes(self, key: JobKey, since: float) -> list[dict[str, Any]]:
        """The counts of each minute from that time on, in order; minutes without a page are left
        out.

        Keys: ``at`` (its first second since the epoch), ``pages``, ``items``, ``done``,
        ``failed``, ``ignored``, and ``open`` (requests, at its end).
        """
        with reading(self.path(key)) as connection:
            return list(as_dicts(connection.execute(READ["minutes"], {"since": int(since // 60)})))

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
        count = NO_LIMIT if limit is None else limit
        name, chosen = units_statement(selection)
        values = {
            "count": count,
            "state": chosen.states[0] if chosen.states else None,
            "states": json.dumps(chosen.states) if chosen.states else None,
            "globs": json.dumps([SQLITE.pattern(glob) for glob in chosen.unit])
            if chosen.unit
            else None,
            "names": None if chosen.units is None else json.dumps(chosen.units),
            "errors": json.dumps(chosen.error) if chosen.error else None,
        }
        with reading(self.path(key)) as connection:
            statement = UNITS[name]
            if not has_steps(connection):  # a file of an older version
                statement = statement.replace("c.items_open", "0 AS items_open")
            yield from as_dicts(connection.execute(statement, values))

    def unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many units are in each state."""
        return self._tally(key, "units")

    def named_unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many of them ``meta["resume_unit"]`` has named."""
        return self._tally(key, "named")

    def _tally(self, key: JobKey, column: str) -> dict[UnitState, int]:
        with reading(self.path(key)) as connection:
            rows = list(as_dicts(connection.execute(READ["unit_tally"])))
        return {UnitState(row["state"]): row.get(column, 0) for row in rows}

    def place(self, key: JobKey, request: int) -> dict[str, Any] | None:
        """Where a run stood; see ``Reader.place``."""
        with reading(self.path(key)) as connection:
            return next(as_dicts(connection.execute(READ["place"], {"request": request})), None)

    def workers(self, key: JobKey) -> list[Worker]:
        """The worker that has not ended, whether its process is alive or not; none or one."""
        path, now = self.path(key), time.time()
        with reading(path) as connection:
            runs = list(as_dicts(connection.execute(READ["runs"])))
            if not runs or runs[-1]["status"] != "running":
                return []
            run = runs[-1]
            sent = json.dumps(sorted(read_board(board_path(path), run["epoch"])))
            in_hand = [url for (url,) in connection.execute(READ["urls"], {"ids": sent})]
        return [
            Worker(
                run=run["number"],
                name=run["worker"],
                alive=is_held(lock_path(path, run["epoch"])),
                started_at=run["started_at"],
                beat_at=run["beat_at"],
                silent_seconds=max(0.0, now - run["beat_at"]),
                silent_after=run.get("silent_after", SILENT_AFTER_SECONDS),
                pages=run["pages"],
                items=run["items"],
                in_hand=in_hand,
            )
        ]

    def items(self, key: JobKey) -> Iterator[tuple[str | None, str]]:
        """(key or ``None``, item as the codec wrote it), in the order in which they became visible.

        A snapshot of the moment of the first ``next()``; close the iterator if you leave early.
        Memory does not grow with the number of items.
        """
        with reading(self.path(key)) as connection:
            cursor = connection.execute(READ["items"])
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from rows

    def count_by_state(self, key: JobKey, selection: Selection) -> dict[str, int]:
        """How many requests are selected, by state; see ``Reader``."""
        source, where, values = selected(selection)
        statement = f"SELECT {GROUPED} FROM {source} WHERE {where} GROUP BY 1"
        with reading(self.path(key)) as connection:
            add_functions(connection)
            return dict(connection.execute(statement, values).fetchall())

    def skipped_count(self, key: JobKey) -> int:
        """How many requests are skipped for good."""
        with reading(self.path(key)) as connection:
            ((count,),) = connection.execute(SKIPS["count"]).fetchall()
        return int(count)

    def history(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts, rounds of retry and ends by day; none of a file of an older version."""
        with reading(self.path(key)) as connection:
            if not connection.execute(FILTERS["has_history"]).fetchall()[0][0]:
                return []
            return list(as_dicts(connection.execute(FILTERS["history"])))

    def known_urls(self, key: JobKey, selection: Selection) -> tuple[set[str], set[str]]:
        """Which of the selection's URLs and identities the job has; see ``Reader``."""
        values = {
            "urls": json.dumps(selection.urls or ()),
            "identities": json.dumps(selection.identities),
        }
        with reading(self.path(key)) as connection:
            add_functions(connection)
            urls = connection.execute(FILTERS["known_urls"], values).fetchall()
            identities = connection.execute(FILTERS["known_identities"], values).fetchall()
        return {url for (url,) in urls}, {text for (text,) in identities}

    def feed_notes(self, key: JobKey) -> list[tuple[str, str]]:
        """(name, record) of the feeds that a run may go on with."""
        with reading(self.path(key)) as connection:
            return connection.execute(READ["feed_notes"]).fetchall()

    @contextmanager
    def change_log(self, key: JobKey) -> Iterator[ChangeLog]:
        """The job's change log; see ``Reader.change_log``."""
        with reading(self.path(key)) as connection:
            connection.execute(FILES["begin_reading"])
            yield SqliteChangeLog(connection)

    def recorded_texts(self, key: JobKey) -> Iterator[tuple[str, str]]:
        """What the codec has written; see ``Reader.recorded_texts``."""
        with reading(self.path(key)) as connection:
            statements = [READ["recorded_texts"]]
            if has_steps(connection):
                statements.append(STEP_READS["payloads"])
            for statement in statements:
                cursor = connection.execute(statement)
                while rows := cursor.fetchmany(ROWS_AT_ONCE):
                    yield from rows


def read_summary(path: Path) -> JobSummary:
    """The summary of the job in a file; see ``SqliteReader`` for the errors."""
    with reading(path) as connection:
        row = next(as_dicts(connection.execute(READ["summary"])))
        alive = is_held(lock_path(path, row["epoch"]))
        while not alive:
            # Another run may have begun the next epoch between the two looks.
            (epoch,) = connection.execute(READ["epoch"]).fetchone()
            if epoch == row["epoch"]:
                break
            row = next(as_dicts(connection.execute(READ["summary"])))
            alive = is_held(lock_path(path, row["epoch"]))
    return summary_of(JobKey(row["name"], row["number"]), row, row, alive=alive)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection, closed at the end."""
    with translated(path):
        try:
            check_not_empty(path)
        except FileNotFoundError as error:
            raise JobNotFoundError(f"there is no job in {path}") from error
        connection = _open(path)
        try:
            yield connection
        finally:
            connection.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, immutable=False)
    except sqlite3.OperationalError as error:
        if result_code(error) not in (CANTOPEN, READONLY):
            raise
        # In a directory that cannot be written, SQLite cannot create the files that go with a
        # WAL. Without a WAL the main file is complete, and no process writes to it.
        if beside(path, "-wal").exists():
            raise StoreUnavailableError(
                f"{path} cannot be read where it is, in a directory that cannot be written; "
                "copy it, with its -wal file, to one that can"
            ) from error
        return _checked(path, immutable=True)


def _checked(path: Path, immutable: bool) -> sqlite3.Connection:
    connection = connect(path, FILES["configure_reader"], mode="ro", immutable=immutable)
    try:
        schema_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection
