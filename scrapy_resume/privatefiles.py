"""Files and directories under names that others can guess, made so that nothing planted is used.

Beside a store, a feed or an output file the package writes files of its own: notes, copies that
are about to replace a file, marks, locks. Where others may write to the directory, one of them may
have put a symbolic link, a hard link or a FIFO there first. Such a name is never followed: what is
created is new, what is opened again is an ordinary file with one name, and opening never waits.

A file or directory that is created here is locked by its process until it is closed. The kernel
releases the lock when the process dies, so a free lock proves that what lies there is abandoned.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from scrapy_resume.posix import try_lock_exclusive

TRIES: Final = 16
"""How often a name is freed again that somebody else keeps taking."""

PREFIX: Final = ".scrapy-resume-"
SUFFIX: Final = ".part"

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_AGAIN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PlantedFileError(OSError):
    """What has the name of a file of the package is a link, or no ordinary file."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            errno.ELOOP,
            f"it is {what}, which scrapy-resume has not made: remove it",
            os.fspath(path),
        )


def create_file(path: Path, flags: int = os.O_RDWR, mode: int = 0o600) -> int:
    """Create a file in place of whatever has the name, and return its descriptor.

    By default nobody but its owner can read it. It is locked until it is closed. Raises
    ``OSError``, also for a directory that has the name.
    """
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            path.unlink()
        try:
            file = os.open(path, flags | _NEW, mode)
        except FileExistsError:
            continue
        if hold_alone(file, path):
            return file
        os.close(file)  # taken for abandoned, between its creation and its lock
    raise FileExistsError(errno.EEXIST, "others keep creating it", os.fspath(path))


def open_existing(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that the package has written; never waits, follows no link.

    Raises ``FileNotFoundError``, and ``PlantedFileError`` for what is no ordinary file or, to be
    written, has a second name.
    """
    try:
        file = os.open(path, flags | _AGAIN)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise PlantedFileError(path, "a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise PlantedFileError(path, "no ordinary file") from error
        raise
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise PlantedFileError(path, "no ordinary file")
        if found.st_nlink > 1 and flags & (os.O_WRONLY | os.O_RDWR):
            raise PlantedFileError(path, "a file that has another name as well (a hard link)")
    except BaseException:
        os.close(file)
        raise
    return file


def open_to_read(path: Path) -> IO[bytes]:
    """Open an ordinary file, through a symbolic link too; never waits, as for a FIFO.

    Raises ``OSError``.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise PlantedFileError(path, "no ordinary file")
    return os.fdopen(file, "rb")


def read_existing(path: Path) -> bytes:
    """The content of a file that the package has written; see ``open_existing``."""
    with os.fdopen(open_existing(path), "rb") as file:
        return file.read()


def remove_abandoned(path: Path) -> bool:
    """Remove a file that ``create_file`` has made and whose process has died.

    Returns whether it was removed; false: there is none, it is in use, or that is not known.
    """
    try:
        file = open_existing(path)
    except OSError:
        return False
    try:
        if not (try_lock_exclusive(file) and _is_at(file, path)):
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(file)
    return True


@contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """A directory with a random name, for files that are not complete yet; removed at the end.

    Nobody but its owner can enter it. Raises ``OSError``.
    """
    for _ in range(TRIES):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=parent))
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _AGAIN)
        try:
            if _lock(file) and _is_at(file, path):
                try:
                    yield path
                finally:
                    shutil.rmtree(path, ignore_errors=True)
                return
        finally:
            os.close(file)
    raise FileExistsError(errno.EEXIST, "others keep removing it", os.fspath(path))


def remove_abandoned_directories(parent: Path) -> list[Path]:
    """Remove the directories that ``private_directory`` has made and whose processes have died.

    Returns which. One that cannot be removed is left alone.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(parent))
    except OSError:
        return []
    removed = []
    for name in names:
        path = parent / name
        is_ours = name.startswith(PREFIX) and name.endswith(SUFFIX)
        if is_ours and _remove_abandoned_directory(path):
            removed.append(path)
    return removed


def _remove_abandoned_directory(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _AGAIN)
    except OSError:
        return False
    try:
        if os.fstat(file).st_uid != os.geteuid() or not try_lock_exclusive(file):
            return False
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def hold_alone(file: int, path: Path) -> bool:
    """Lock an open file until it is closed, if nobody else has. Returns whether it was locked and
    still has its name; on a file system without locks only the latter counts."""
    return _lock(file) and _is_at(file, path)


def _lock(file: int) -> bool:
    """Lock an open file; on a file system without locks nothing is done."""
    try:
        return try_lock_exclusive(file)
    except OSError:
        return True


def _is_at(file: int, path: Path) -> bool:
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    found = os.fstat(file)
    return (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino)
