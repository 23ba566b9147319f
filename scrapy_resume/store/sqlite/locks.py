"""File locks that the kernel lets go of when their process dies.

Two kinds: the *door* of a job's name, held for the moment in which a run decides how to
open the job; and the *owner lock* of an epoch, held for a run's life. A job is alive if
the owner lock of its current epoch is held: no heartbeat can lie about it, no pid can be
taken for another one's, and nothing is left behind that has to be cleaned up first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from scrapy_resume.errors import StoreUnavailableError

DOOR_SECONDS: Final = 10.0
"""How long a run waits for another one that decides about the same job."""


def _file_lock(path: Path) -> FileLock:
    # thread_local=False: a run is opened, committed and closed by different threads.
    # fallback_to_soft=False: a lock file that lives on after its process would be stale.
    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


@contextmanager
def door_lock(path: Path, timeout_seconds: float = DOOR_SECONDS) -> Iterator[None]:
    """Hold the door; raises ``StoreUnavailableError`` if it stays shut.

    The file is never removed: a waiter would hold a lock on a name that is gone.
    """
    lock = _file_lock(path)
    try:
        lock.acquire(timeout=timeout_seconds)
    except Timeout as error:
        raise StoreUnavailableError(
            f"another process has been opening this job for over {timeout_seconds:.0f} s (it "
            f"holds {path}); try again, or end it (`fuser {path}` names it)"
        ) from error
    try:
        yield
    finally:
        lock.release()


class OwnerLock:
    """The lock of one epoch of a job, held from the opening to the end of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _file_lock(path)

    def acquire(self) -> bool:
        """Take the lock if nobody holds it; never waits."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let go; the file stays, as it does after a death."""
        self._lock.release(force=True)

    def discard(self) -> None:
        """Let go and remove the file, if that can be.

        Nobody can be waiting for it: the next run takes the lock of the next epoch.
        """
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.release()


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds the owner lock.

    Asks with a *shared* lock, so that two who ask at the same time do not take one another
    for the owner, and without creating or writing anything.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
