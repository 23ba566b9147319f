"""Which file is which, and how a job's file is opened.

A job is ``<name>#<number>.sqlite3`` in the store's directory; the name is percent-quoted,
so any text is safe. Beside it, while it is open: SQLite's ``-wal`` and ``-shm``,
``.inflight`` (see ``inflight_board``) and ``.epoch-<N>.lock`` (see ``locks``).

A danger that this module exists to avoid: a process must never ``open()`` and close a
database file itself while one of its connections uses it. Closing any descriptor of a file
drops all POSIX locks that the process holds on it, SQLite's included.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import closing, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from scrapy_resume.disk import make_directories
from scrapy_resume.errors import (
    ConfigurationError,
    SchemaTooNewError,
    StoreDamagedError,
    StoreError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.privatefiles import PlantedFileError, create_file
from scrapy_resume.store.sqlite.errors import damage_remedy
from scrapy_resume.store.sqlite.foreign_schema import refuse_foreign_schema
from scrapy_resume.store.sqlite.migrations import SCHEMA
from scrapy_resume.store.transaction.queries import load_queries

APPLICATION_ID: Final = 1397901901
"""In every job's file; see the schema."""

SMALLEST_PAGE: Final = 512
"""Bytes of the shortest file that can be an SQLite database."""

SUFFIX: Final = ".sqlite3"
CREATING: Final = ".new"
DELETING: Final = ".deleted"
SQLITE_SUFFIXES: Final = ("-wal", "-shm", "-journal")
"""Of the files that SQLite puts beside a database."""
LONGEST_STEM: Final = 100
KEPT_OF_LONG_STEM: Final = 80
CUT_MARK: Final = "~"
"""Never part of a quoted name, so that a cut name cannot equal another job's."""

OLDEST_SQLITE: Final = (3, 35, 0)
"""The first one with RETURNING; Python 3.10 may be linked with an older one."""

BUSY_SECONDS: Final = 10.0
"""How long a statement waits for another process's lock. Readers wait only while a job's file is
being opened or closed."""

LARGEST_RECORD: Final = 1 << 28
"""Bytes of the largest row that is read or written; the codec refuses larger records before."""

SQL: Final = load_queries("sqlite", "files.sql")


class JobFile(NamedTuple):
    """A job's file, which may be damaged. Its key is that of its name, unless that was cut."""

    key: JobKey
    path: Path


def quoted(name: str) -> str:
    """A job's name as the stem of its file: ``[A-Za-z0-9_.-]`` and percent signs only."""
    text = quote(name, safe="", errors="surrogatepass").replace("~", "%7E")
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text) <= LONGEST_STEM:
        return text
    tail = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{text[:KEPT_OF_LONG_STEM]}{CUT_MARK}{tail}"


def job_path(directory: Path, key: JobKey) -> Path:
    """The file of a job, whether it exists or not."""
    return directory / f"{quoted(key.name)}#{key.number}{SUFFIX}"


def door_path(directory: Path, name: str) -> Path:
    """The lock file for opening jobs of a name."""
    return directory / f"{quoted(name)}.door.lock"


def door_of(path: Path) -> Path:
    """The lock file for opening jobs of the name that the job in ``path`` has."""
    return path.with_name(f"{path.name.rpartition('#')[0]}.door.lock")


def lock_path(path: Path, epoch: int) -> Path:
    """The owner lock of an epoch of the job in ``path``."""
    return beside(path, f".epoch-{epoch}.lock")


def board_path(path: Path) -> Path:
    """The board of the job in ``path``."""
    return beside(path, ".inflight")


def beside(path: Path, suffix: str) -> Path:
    """``path`` with something appended to its name."""
    return path.with_name(path.name + suffix)


def make_directory(directory: Path) -> None:
    """Create the store's directory, readable by its owner only and ignored by git."""
    if directory.is_dir():
        return
    make_directories(directory, mode=0o700)
    with os.fdopen(create_file(directory / ".gitignore", os.O_WRONLY), "w") as file:
        file.write("*\n")


def lock_files(path: Path, below: int | None = None) -> list[Path]:
    """The lock files of epochs below one, or all."""
    mark = f"{path.name}.epoch-"
    found = []
    for entry in os.scandir(path.parent):
        epoch = entry.name.removeprefix(mark).removesuffix(".lock")
        if not (entry.name.startswith(mark) and epoch.isdecimal()):
            continue
        if below is None or int(epoch) < below:
            found.append(Path(entry.path))
    return found


def remove_locks(path: Path, below: int | None = None) -> None:
    """Remove the lock files of epochs below one, or all.

    Nobody asks for the lock of an epoch that is over, not even a fenced process that still
    holds it.
    """
    for lock in lock_files(path, below):
        lock.unlink(missing_ok=True)


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode: distinguishes a file from another one that has taken its name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def job_files(directory: Path, name: str | None = None) -> list[JobFile]:
    """The jobs in a directory, or those of one name: by name, then number.

    A directory that does not exist has none. The name of a job whose file name had to be cut
    is asked of the file; if that is damaged, the file's own name stands for it.
    """
    stem = None if name is None else quoted(name)
    try:
        entries = [entry.name for entry in os.scandir(directory)]
    except FileNotFoundError:
        return []
    found = []
    for entry in entries:
        base, mark, number = entry.removesuffix(SUFFIX).rpartition("#")
        if not (entry.endswith(SUFFIX) and mark and number.isdecimal()):
            continue
        if stem is not None and base != stem:
            continue
        path = directory / entry
        found.append(JobFile(JobKey(name or _name_of(base, path), int(number)), path))
    return sorted(found, key=lambda job: (job.key.name, job.key.number))


def half_deleted(directory: Path) -> list[JobKey]:
    """The jobs whose deletion was interrupted, by name and number."""
    ending = SUFFIX + DELETING
    try:
        found = [entry.name for entry in os.scandir(directory) if entry.name.endswith(ending)]
    except OSError:
        return []
    files = [directory / name.removesuffix(DELETING) for name in sorted(found) if "#" in name]
    return [
        key_of_file(path, beside(path, DELETING)) for path in files if not os.path.lexists(path)
    ]


def key_of_file(path: Path, content: Path) -> JobKey:
    """The key of the job whose file is or was ``path``; ``content``: where that file is now."""
    stem, _, number = path.name.removesuffix(SUFFIX).rpartition("#")
    return JobKey(_name_of(stem, content), int(number))


def _name_of(stem: str, path: Path) -> str:
    if CUT_MARK not in stem:
        return unquote(stem, errors="surrogatepass")
    try:
        connection = connect(path, SQL["configure_reader"], mode="ro")
    except (sqlite3.Error, OSError):
        return stem
    try:
        schema_version(connection, path)
        row = connection.execute(SQL["job_name"]).fetchone()
    except (sqlite3.Error, OSError, StoreError):
        return stem
    finally:
        connection.close()
    return stem if row is None else str(row[0])


def connect(
    path: Path, configuration: str, *, mode: str, immutable: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit mode, for use by one thread at a time.

    ``mode`` is SQLite's: ``ro``, or ``rw`` (which does not create the file).
    """
    check_not_planted(path, writable=mode != "ro")
    options = f"mode={mode}" + ("&immutable=1" if immutable else "")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        _harden(connection)
        connection.executescript(configuration)
    except BaseException:
        connection.close()
        raise
    return connection


def _harden(connection: sqlite3.Connection) -> None:
    """Limit what a file that somebody else has written can do, as far as this Python can."""
    if _can_distrust():
        connection.execute(SQL["distrust"])
    if sys.version_info >= (3, 11):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_RECORD)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)


@lru_cache(maxsize=1)
def _can_distrust() -> bool:
    """Whether this SQLite lets views call JSON functions though their schema is not trusted."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(SQL["distrust"])
            connection.execute(SQL["json_view"])
            connection.execute(SQL["read_json_view"]).fetchall()
        except sqlite3.OperationalError:
            return False
    return True


def check_not_planted(path: Path, *, writable: bool) -> None:
    """Check that SQLite will not write to what somebody has put beside the name of a job's file.

    SQLite itself follows no links there, but does write to a file that has a second name. (Copies
    of a whole store by hard links are left alone: there the job's file has two names as well.)
    Raises ``PlantedFileError``.
    """
    try:
        main = path.lstat()
    except FileNotFoundError:
        return
    if writable and not stat.S_ISREG(main.st_mode):
        raise PlantedFileError(path, "no ordinary file")
    for suffix in SQLITE_SUFFIXES:
        beside_it = beside(path, suffix)
        with suppress(FileNotFoundError):
            found = beside_it.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > max(1, main.st_nlink):
                raise PlantedFileError(beside_it, "a link, or no ordinary file")


def check_library() -> None:
    """Raises ``ConfigurationError`` if Python's SQLite cannot do what the store needs."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python uses SQLite {sqlite3.sqlite_version}; scrapy-resume needs "
            f"{'.'.join(map(str, OLDEST_SQLITE[:2]))} or newer: use a newer Python build"
        )
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(SQL["needs_json"])
    except sqlite3.OperationalError as error:
        raise ConfigurationError(
            f"the SQLite {sqlite3.sqlite_version} of this Python was built without its JSON "
            "functions: use another Python build"
        ) from error
    finally:
        connection.close()


def check_not_empty(path: Path) -> None:
    """Raises ``StoreDamagedError`` for a file that is shorter than any database.

    SQLite would take it for a new database, and delete the ``-wal`` file beside it.
    """
    if path.stat().st_size < SMALLEST_PAGE:
        raise StoreDamagedError(f"{path} is empty, it was cut off; {damage_remedy(path)}")


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Raises ``StoreDamagedError`` if the end of the file is missing.

    SQLite notices missing pages, not that the last one is short. As long as there is a WAL,
    pages may be there only.
    """
    (pages,) = connection.execute(SQL["page_count"]).fetchone()
    (page_bytes,) = connection.execute(SQL["page_size"]).fetchone()
    wal = beside(path, "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        return
    if path.stat().st_size < pages * page_bytes:
        raise StoreDamagedError(f"{path} was cut off; {damage_remedy(path)}")


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file's schema.

    Raises ``StoreDamagedError`` if it is another program's database, is cut off, or has in its
    schema what is not this package's, and ``SchemaTooNewError`` if it is newer.
    """
    (application,) = connection.execute(SQL["application_id"]).fetchone()
    if application != APPLICATION_ID:
        raise StoreDamagedError(
            f"{path} is a database, but not one of scrapy-resume; move it out of the store's "
            "directory"
        )
    check_whole(connection, path)
    (version,) = connection.execute(SQL["schema_version"]).fetchone()
    if version > SCHEMA.version:
        raise SchemaTooNewError(
            f"{path} was written by a newer version of scrapy-resume (its schema has version "
            f"{version}, this one knows {SCHEMA.version}): upgrade scrapy-resume"
        )
    refuse_foreign_schema(connection, path, version)
    return int(version)
