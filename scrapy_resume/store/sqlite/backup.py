"""Backups and verification of a job's file, also while it is crawled."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from scrapy_resume.disk import sync_file
from scrapy_resume.errors import (
    ConfigurationError,
    StoreDamagedError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.store.backup_kind import backup_kind, no_backup
from scrapy_resume.store.contract.verification import Verdict, violations
from scrapy_resume.store.sqlite.errors import INTERRUPT, result_code
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import SQLITE_SUFFIXES, beside, connect
from scrapy_resume.store.sqlite.foreign_schema import ForeignSchemaError
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.step_reader import has_steps
from scrapy_resume.store.transaction.queries import load_queries

VERIFY: Final = load_queries("sqlite", "verify.sql")
VERIFY_STEPS: Final = load_queries("sqlite", "verify_steps.sql")


SLICE_PAGES: Final = 256
"""Pages, of 4 KB mostly, that are copied between two calls of ``is_stopped``: a millisecond or
two."""

CHECK_STEPS: Final = 100_000
"""Steps of SQLite's machine between two such calls while the copy is checked."""


class CopyStoppedError(Exception):
    """``is_stopped`` was true: nothing was copied."""


def copy_job(source: Path, target: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Copy a job, as it is at one moment, to ``target``, which must not exist.

    Does not delay the owner of the job. ``is_stopped`` is called between slices, and may pause.
    Raises ``StoreDamagedError`` for a damaged job, and ``CopyStoppedError``; leaves nothing behind
    then.
    """
    # 0600 from the first moment: what a crawl has seen is its owner's.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            reading(source) as connection,
            _snapshot(connection),
            closing(connect(target, FILES["configure_creator"], mode="rw")) as copy,
        ):
            found = _copied(connection, copy, is_stopped)
            if found != "ok":
                raise StoreDamagedError(
                    f"{source} is damaged ({found}) and is not copied. "
                    "`scrapy resume verify` shows details"
                )
            copy.execute(FILES["use_no_wal"]).fetchall()
        sync_file(target)
    except BaseException:
        for suffix in ("", *SQLITE_SUFFIXES):
            beside(target, suffix).unlink(missing_ok=True)
        raise


def _copied(
    connection: sqlite3.Connection, copy: sqlite3.Connection, is_stopped: Callable[[], bool]
) -> str:
    """Copy the pages of a snapshot, in slices, and check them; what the check has found.

    Without a snapshot SQLite would begin again after each commit of others.
    """

    def between(_status: int, _left: int, _all: int) -> None:
        if is_stopped():
            raise CopyStoppedError

    # The snapshot begins with the first thing that is read.
    connection.execute(FILES["job_key"]).fetchone()
    connection.backup(copy, pages=SLICE_PAGES, progress=between)
    copy.set_progress_handler(is_stopped, CHECK_STEPS)
    try:
        return quick_check(copy)
    except sqlite3.OperationalError as error:
        if result_code(error) == INTERRUPT:
            raise CopyStoppedError from error
        raise
    finally:
        copy.set_progress_handler(None, 0)


def quick_check(connection: sqlite3.Connection) -> str:
    """``ok``, or what SQLite finds first, in one line."""
    return " ".join(str(connection.execute(FILES["quick_check"]).fetchone()[0]).split())


def prepare(copy: Path, fresh: Path) -> None:
    """Copy a job to a new file that can be renamed to a job's. Raises ``StoreDamagedError``."""
    copy_job(copy, fresh)
    with closing(connect(fresh, FILES["configure_creator"], mode="rw")) as connection:
        connection.execute(FILES["use_wal"]).fetchall()
    sync_file(fresh)


def key_of(file: Path) -> JobKey:
    """The key of the job in a copy. Raises ``StoreDamagedError`` and ``SchemaTooNewError``."""
    with reading(file) as connection:
        row = connection.execute(FILES["job_key"]).fetchone()
        if row is None:
            raise StoreDamagedError(f"{file} holds no job")
        return JobKey(*row)


def key_of_backup(source: Path) -> JobKey:
    """The key of the job in a file that is to be restored.

    Raises ``StoreDamagedError`` for a file that is no backup, ``StoreUnavailableError`` for one
    that cannot be read, ``ConfigurationError`` for one of another kind of store, and
    ``SchemaTooNewError``.
    """
    try:
        kind = backup_kind(source)
    except OSError as error:
        raise StoreUnavailableError(f"{source} cannot be read: {error.strerror}") from error
    if kind == "postgres":
        raise ConfigurationError(
            f"{source} was written by a store in PostgreSQL: name that with "
            "-s RESUME_STORE=postgresql://…"
        )
    if kind is None:
        raise no_backup(source, "no store has written it")
    try:
        return key_of(source)
    except ForeignSchemaError:
        raise
    except StoreDamagedError as error:
        why = error.__cause__ or "it is a database, but not one of scrapy-resume"
        raise no_backup(source, str(why)) from error


def verify_job(path: Path) -> Verdict:
    """Check the invariants of the job in a file, at one moment."""
    with reading(path) as connection, _snapshot(connection):
        statements = {**VERIFY, **VERIFY_STEPS} if has_steps(connection) else VERIFY
        return violations(statements, connection.execute)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute(FILES["begin_reading"])
    try:
        yield
    finally:
        connection.execute(FILES["rollback"])
