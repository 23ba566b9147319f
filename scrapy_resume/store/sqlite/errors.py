"""Translates errors of SQLite and of the file system into ``StoreError``."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scrapy_resume.errors import (
    ConfigurationError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from scrapy_resume.privatefiles import PlantedFileError

BUSY: Final = 5
LOCKED: Final = 6
NOMEM: Final = 7
READONLY: Final = 8
INTERRUPT: Final = 9
IOERR: Final = 10
CORRUPT: Final = 11
FULL: Final = 13
CANTOPEN: Final = 14
PROTOCOL: Final = 15
TOOBIG: Final = 18
NOTADB: Final = 26

_TEXTS: Final = (
    ("database is locked", BUSY),
    ("database table is locked", LOCKED),
    ("out of memory", NOMEM),
    ("attempt to write a readonly database", READONLY),
    ("interrupted", INTERRUPT),
    ("disk I/O error", IOERR),
    ("malformed", CORRUPT),
    ("database or disk is full", FULL),
    ("unable to open database file", CANTOPEN),
    ("locking protocol", PROTOCOL),
    ("string or blob too big", TOOBIG),
    ("file is not a database", NOTADB),
)
"""SQLite's messages: Python 3.10 gives no error codes."""

_REMEDIES: Final = {
    NOMEM: "the system is out of memory",
    READONLY: "it cannot be written: check the permissions of the file and of its directory, and "
    "whether the file system is mounted read-only; or set RESUME_STORE to a directory that can be "
    "written, or to a postgresql:// URL",
    IOERR: "the disk reports an I/O error: check the disk and the system's log",
    FULL: "the disk is full: make room",
    CANTOPEN: "it cannot be opened: check that its directory exists and can be written "
    "(permissions; not mounted read-only), and the number of open files (ulimit -n); or set "
    "RESUME_STORE to another directory",
    PROTOCOL: "its locks do not work: keep the store on a local disk, not on NFS or SMB",
}

COPY: Final = ".backup"
"""Ends the name of the copy that RESUME_BACKUP keeps beside a job's file."""

_WITHOUT_COPY: Final = (
    "nothing was changed. Restore the file from a backup, try `sqlite3 FILE .recover`, or move "
    "it away together with its -wal file to begin anew. (RESUME_BACKUP, which is not set or was "
    "not yet due, keeps a copy from which the next run restores a damaged job by itself)"
)
_WITH_COPY: Final = (
    "nothing was changed. Run the crawl again: it restores the job from {}, keeps the damaged file "
    "and says what was lost"
)

REOPEN: Final = frozenset({NOMEM, READONLY, IOERR, CANTOPEN, PROTOCOL, CORRUPT, NOTADB})
"""After these errors the connection is closed, and the next call opens another."""


def damage_remedy(path: Path) -> str:
    """What to do about a job's file that is damaged."""
    copy = path.with_name(path.name + COPY)
    return _WITH_COPY.format(copy) if copy.is_file() else _WITHOUT_COPY


def result_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; ``None`` if it is none of those named above."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code & 0xFF
    text = str(error)
    return next((code for part, code in _TEXTS if part in text), None)


def store_error(
    error: sqlite3.Error, path: Path, holder: Callable[[], str | None] | None = None
) -> StoreError:
    """The error to raise ``from`` SQLite's own.

    ``holder`` returns who works on the file now (``host:pid``), for the message of a lock that
    was not released in time.
    """
    code = result_code(error)
    if code in (BUSY, LOCKED):
        return StoreUnavailableError(_locked(path, holder() if holder else None))
    if code in (CORRUPT, NOTADB):
        kind = "is not a database" if code == NOTADB else "is damaged"
        return StoreDamagedError(f"{path} {kind} ({error}); {damage_remedy(path)}")
    if code == TOOBIG:
        return StoreDamagedError(
            f"{path} has a record that is larger than scrapy-resume writes any; "
            f"{damage_remedy(path)}"
        )
    if code in _REMEDIES:
        return StoreUnavailableError(f"{path}: {_REMEDIES[code]} ({error})")
    return StoreError(f"{path}: SQLite refused a statement ({error}); please report this")


def _locked(path: Path, holder: str | None) -> str:
    if holder is None:
        return (
            f"{path} is locked by another process for longer than this one waits; end what works "
            f"on the file (`fuser {path}` names it)"
        )
    host, _, pid = holder.rpartition(":")
    return (
        f"{path} is locked by {holder}, which owns the job and does not let go of it; if that "
        f"process hangs or is stopped, end it on {host}: kill -9 {pid}"
    )


@contextmanager
def translated(path: Path, holder: Callable[[], str | None] | None = None) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as ``StoreError``."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path, holder) from error
    except OSError as error:
        raise file_error(error, path) from error


def file_error(error: OSError, path: Path) -> StoreError | ConfigurationError:
    """The error to raise ``from`` one of the file system."""
    name = error.filename or path
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
        return ConfigurationError(
            f"RESUME_STORE: {name} cannot be used as a directory ({error.strerror}); name "
            "another directory"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailableError(f"{name}: {_REMEDIES[FULL]} ({error.strerror})")
    if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
        return StoreUnavailableError(f"{name}: {_REMEDIES[PROTOCOL]} ({error.strerror})")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreUnavailableError(f"{name}: {_REMEDIES[READONLY]} ({error.strerror})")
    if error.errno == errno.ELOOP and not isinstance(error, PlantedFileError):
        return StoreUnavailableError(f"{name}: it is a symbolic link; remove it")
    return StoreUnavailableError(f"{name}: {error.strerror or error}")
