"""File locks that the kernel releases when their process dies.

There are two kinds. The *door lock* of a job's name is held while a run decides how to open
the job. The *owner lock* of an epoch is held for as long as a run lives. A job is alive if the
owner lock of its current epoch is held: no heartbeat can be wrong about it, no pid can be
mistaken for another process's, and a dead process leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.posix import try_lock_shared
from scrapy_resume.privatefiles import open_existing

DOOR_SECONDS: Final = 10.0
"""How long a run waits for another run that is opening the same job."""


def _file_lock(path: Path) -> FileLock:
    # thread_local=False: a run is opened, committed and closed by different threads.
    # fallback_to_soft=False: a lock file that lives on after its process would be stale.
    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


@contextmanager
def door_lock(path: Path, timeout_seconds: float = DOOR_SECONDS) -> Iterator[None]:
    """Hold the door lock; raises ``StoreUnavailableError`` if another process keeps it.

    The file is never removed: a process that waits would get the lock of a deleted file.
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
        """Take the lock if nobody holds it, and return whether it was taken; never waits."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock; the file stays, as it does after a death."""
        self._lock.release(force=True)

    def discard(self) -> None:
        """Release the lock and remove the file; a file that cannot be removed stays.

        Nobody can be waiting for this lock: the next run takes the lock of the next epoch.
        """
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.release()


def is_held(path: Path) -> bool:
    """Whether a process, which may be this one, holds the owner lock.

    The question is asked with a *shared* lock, so that two processes that ask at the same time
    do not mistake one another for the owner. Nothing is created or written.
    """
    try:
        descriptor = open_existing(path)
    except FileNotFoundError:
        return False
    try:
        return not try_lock_shared(descriptor)
    finally:
        os.close(descriptor)
