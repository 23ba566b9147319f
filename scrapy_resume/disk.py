"""What survives a power cut: syncs of files and directories, and how a restart is recognized.

A file system may keep, drop, cut or blank what was written to a file since its last sync, each file
independently of all others; and an entry of a directory may be missing until that is synced.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

_CANNOT_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Some network file systems refuse to sync a directory; they keep its entries by themselves."""


def sync_file(path: Path) -> None:
    """Make the content of a file survive a power cut. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory survive a power cut. Raises ``OSError``."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def make_directories(path: Path, mode: int = 0o777) -> None:
    """Create a directory and its missing parents, so that they survive a power cut.

    ``mode``: that of the last one. Raises ``OSError``.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    if path.is_dir():
        return
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for made in missing:
        sync_directory(made.parent)


@cache
def boot_id() -> str:
    """A random id of this boot of the machine; empty on systems that have none.

    The kernel keeps what was written but not synced until the machine stops. So within one boot
    every file holds all that was written to it.
    """
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
