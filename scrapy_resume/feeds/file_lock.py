"""Jobs that write to one file do so one after the other.

One appends, another takes its own bytes out of the middle: if both happen at once, what was
appended is lost with the old file, or is copied without being noted. The kernel's lock of the
file, which goes with the process, keeps them apart. It binds jobs, not other writers. A file
system without such locks does without.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from scrapy_resume.posix import lock_exclusive, try_lock_exclusive, unlock

PATIENCE_SECONDS: Final = 0.1
"""What an append waits: others' appends take far less, rewriting a large file may take more."""

_PAUSE_SECONDS: Final = 0.001


def take_turn(file: int, *, wait: bool) -> None:
    """Have the file for oneself until ``end_turn`` or until it is closed.

    Without waiting, raises ``BlockingIOError`` when others don't let go of it.
    """
    try:
        if wait:
            lock_exclusive(file)
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not try_lock_exclusive(file):
            if time.monotonic() >= deadline:
                raise BlockingIOError(errno.EAGAIN, "others are rewriting the file")
            time.sleep(_PAUSE_SECONDS)
    except BlockingIOError:
        raise
    except OSError:
        return  # no such locks here


def end_turn(file: int) -> None:
    """Let others have the file."""
    with suppress(OSError):
        unlock(file)


def is_at(file: int, path: Path) -> bool:
    """Whether the path names the open file."""
    try:
        found, named = os.fstat(file), path.stat()
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino)
