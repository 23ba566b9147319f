"""What the package asks of a POSIX kernel: file locks that end with the process that holds them.

The only module that imports ``fcntl``. It can be imported on any system; a crawl on a system
without these locks is refused by ``require_posix``, in one line.
"""

from __future__ import annotations

import os

from scrapy_resume.errors import ConfigurationError

try:
    import fcntl
except ImportError:
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True


def require_posix() -> None:
    """Raises ``ConfigurationError`` on a system without the locks of this module."""
    if not _HAS_LOCKS:
        raise ConfigurationError(
            "scrapy-resume needs a POSIX system (Linux, macOS, BSD), whose kernel releases a file "
            f"lock when the process that holds it dies; this Python (os.name is {os.name!r}) has "
            "no fcntl. On Windows, use WSL."
        )


def lock_exclusive(file: int) -> None:
    """Wait until nobody else holds a lock on the open file, then hold it alone.

    Raises ``OSError`` on a file system without locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock_exclusive(file: int) -> bool:
    """Hold the open file alone if nobody else holds a lock on it; never waits.

    Raises ``OSError`` on a file system without locks.
    """
    return _try(file, fcntl.LOCK_EX)


def try_lock_shared(file: int) -> bool:
    """Hold the open file together with others if nobody holds it alone; never waits.

    Raises ``OSError`` on a file system without locks.
    """
    return _try(file, fcntl.LOCK_SH)


def unlock(file: int) -> None:
    """Release the lock on the open file; closing the file does it too."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
