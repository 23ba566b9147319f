"""File systems of a few megabytes, that a test can fill. Only root can mount them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = "ballast"
CHUNK = b"x" * 65_536


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk at a new folder; where none can be had, the test is skipped."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if result.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def fill(disk: Path) -> None:
    """To the last block."""
    with contextlib.suppress(OSError), (disk / BALLAST).open("wb", buffering=0) as ballast:
        while True:
            ballast.write(CHUNK)


def make_room(disk: Path) -> None:
    """Take out what filled it."""
    (disk / BALLAST).unlink()
