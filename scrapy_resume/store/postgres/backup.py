"""Backups and verification of a job in a database, at one moment, also while it is crawled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from psycopg import Connection, IsolationLevel, sql

from scrapy_resume.errors import (
    ConfigurationError,
    JobExistsError,
    JobNotFoundError,
    StoreDamagedError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.store.backup_kind import backup_kind, no_backup
from scrapy_resume.store.contract.verification import Verdict, violations
from scrapy_resume.store.postgres.backup_file import BackupReader, BackupWriter
from scrapy_resume.store.postgres.recovery import hold_job, recover_job
from scrapy_resume.store.postgres.schema import SCHEMA
from scrapy_resume.store.postgres.statements import OPENING
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.storable_text import storable

BACKUP: Final = load_queries("postgres", "backup.sql")
VERIFY: Final = {
    **load_queries("postgres", "verify.sql"),
    **load_queries("postgres", "verify_steps.sql"),
}
READ: Final = load_queries("postgres", "read.sql")

MAPPED: Final = ("job", "slot", "unit", "request", "frontier", "unit_count", "event")
"""Tables whose ids may be taken in the database to which they are restored."""

AS_THEY_ARE: Final = (
    "run",
    "seen",
    "trouble",
    "item",
    "spider_state",
    "cookies",
    "host",
    "feed",
    "given",
    "skip_rule",
    "skip_key",
    "retry_round",
    "minute",
    "unit_tally",
    "step_kind",
    "stepped",
    "step",
    "step_tally",
    "step_day",
    "step_use",
    "taken_back",
)
"""Tables in which only the job's id changes. (Provisional items end with the run: they are left
out.)"""

_COPY_OUT: Final = sql.SQL("COPY (SELECT {columns} FROM {table} WHERE {key} = {job}) TO STDOUT")
_COPY_IN: Final = sql.SQL("COPY {table} ({columns}) FROM STDIN")
_RESTORED: Final = sql.SQL(
    "CREATE TEMPORARY TABLE {name} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP"
)
_PUT: Final = sql.SQL(
    "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {name}"
)


def write_job(connection: Connection[Any], key: JobKey, place: str, target: Path) -> None:
    """Write a file; see ``Store.backup``. Does not wait for workers, nor delay them."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        job = _find(connection, key, place)
        ((last_item,),) = connection.execute(BACKUP["last_item"], {"job": job}).fetchall()
        header = {"schema": SCHEMA.version, "job": str(key), "last_item": last_item}
        with BackupWriter(target, header) as file:
            for name in (*MAPPED, *AS_THEY_ARE):
                columns = _columns(connection, name)
                statement = _COPY_OUT.format(
                    columns=_listed(columns),
                    table=_table(name),
                    key=sql.Identifier("id" if name == "job" else "job"),
                    job=sql.Literal(job),
                )
                with connection.cursor().copy(statement) as rows:
                    file.table(name, columns, (bytes(chunk) for chunk in rows))
            file.end()


def read_job(connection: Connection[Any], source: Path, place: str) -> JobKey:
    """Restore a file, whole or not at all; see ``Store.restore``."""
    kind = backup_kind(source)
    if kind == "sqlite":
        raise ConfigurationError(
            f"{source} was written by a store in a directory: name that with "
            "-s RESUME_STORE=DIRECTORY"
        )
    if kind is None:
        raise no_backup(source, "no store has written it")
    with BackupReader(source, SCHEMA.version) as file:
        with connection.transaction():
            connection.execute(BACKUP["stop_items"])
            connection.execute(BACKUP["skip_items"], {"last": file.header["last_item"]})
        with connection.transaction():
            names = _take_in(connection, file)
            if missing := {*MAPPED, *AS_THEY_ARE} - names:
                raise StoreDamagedError(f"{source} has no {', '.join(sorted(missing))}")
            return _put(connection, place)


def _take_in(connection: Connection[Any], file: BackupReader) -> set[str]:
    """Read the whole file into temporary tables."""
    names = set()
    for name, columns, rows in file.tables():
        if name not in (*MAPPED, *AS_THEY_ARE):
            raise StoreDamagedError(f"a backup has no table {name!r}")
        names.add(name)
        restored = sql.Identifier(f"restored_{name}")
        connection.execute(_RESTORED.format(name=restored, table=_table(name)))
        statement = _COPY_IN.format(table=restored, columns=_listed(columns))
        with connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write(row)
    return names


def _put(connection: Connection[Any], place: str) -> JobKey:
    ((name, number),) = connection.execute(BACKUP["find_key"]).fetchall()
    key = JobKey(name, number)
    if not connection.execute(OPENING["pass_door"], {"name": storable(name)}).fetchall()[0][0]:
        raise StoreUnavailableError(
            f"{place}: others are opening a job {name!r}. Run the same command again."
        )
    put = connection.execute(BACKUP["put_job"]).fetchone()
    if put is None:
        raise JobExistsError(
            f"{key} exists already, in {place}; delete it first (scrapy resume reset {key})"
        )
    values = {"job": put[0]}
    connection.execute(BACKUP["analyze"])
    for table in MAPPED[1:]:
        connection.execute(BACKUP[f"put_{table}"], values)
    for table in AS_THEY_ARE:
        _put_as_it_is(connection, table, put[0])
    connection.execute(BACKUP["clear_processes"], values)
    held = hold_job(connection, key)
    assert held is not None
    tables = PostgresTables(held.id, 0, any_owner=False)
    tables.begin(connection, held.now)
    # No run of the backup is alive, and none has died: no crash is counted.
    recover_job(tables, crash_limit=1, timeout_seconds=-1, blames=False)
    return key


def _put_as_it_is(connection: Connection[Any], name: str, job: int) -> None:
    columns = _columns(connection, name)
    values = [sql.Literal(job) if column == "job" else sql.Identifier(column) for column in columns]
    connection.execute(
        _PUT.format(
            table=_table(name),
            columns=_listed(columns),
            values=sql.SQL(", ").join(values),
            name=sql.Identifier(f"restored_{name}"),
        )
    )


def verify_job(connection: Connection[Any], key: JobKey, place: str) -> Verdict:
    """Check the invariants of a job, at one moment."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        job = _find(connection, key, place)
        return violations(
            VERIFY, lambda statement: connection.execute(statement, {"job": job}).fetchall()
        )


def _find(connection: Connection[Any], key: JobKey, place: str) -> int:
    values = {"name": storable(key.name), "number": key.number}
    row = connection.execute(READ["find_job"], values).fetchone()
    if row is None:
        raise JobNotFoundError(f"there is no job {key} in {place}")
    return int(row[0])


def _columns(connection: Connection[Any], name: str) -> list[str]:
    return [column for (column,) in connection.execute(BACKUP["columns"], {"name": name})]


def _table(name: str) -> sql.Composable:
    return sql.Identifier("scrapy_resume", name)


def _listed(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
