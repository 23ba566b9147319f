"""File systems of a few megabytes, which a test can fill. Only root can mount them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.skips import not_started

BALLAST = "ballast"
CHUNK = b"x" * 65_536


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of so many bytes (as ``mount`` writes it: ``64m``) at a new folder.

    A test that cannot have it ends with ``not_started``.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        not_started("a small disk", error)
    if result.returncode:
        why = result.stderr.decode(errors="replace").strip()
        not_started("a small disk", f"{why} (only root can mount one)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def fill(disk: Path) -> None:
    """Write until the disk has no block left."""
    with contextlib.suppress(OSError), (disk / BALLAST).open("wb", buffering=0) as ballast:
        while True:
            ballast.write(CHUNK)


def make_room(disk: Path) -> None:
    """Remove what ``fill`` has written."""
    (disk / BALLAST).unlink()
