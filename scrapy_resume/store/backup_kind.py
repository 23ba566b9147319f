"""Which kind of store has written a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from scrapy_resume.errors import StoreDamagedError

Kind = Literal["sqlite", "postgres"]

_MAGIC: Final[dict[bytes, Kind]] = {b"SQLite format 3\0": "sqlite", b"\x1f\x8b": "postgres"}
"""A store in a directory writes a database, one in PostgreSQL a gzipped file."""


def no_backup(path: Path, why: str) -> StoreDamagedError:
    """The error for a file that cannot be restored."""
    return StoreDamagedError(
        f"{path} is no backup that can be restored: {why}. Name a whole file that `scrapy resume "
        "backup` has written"
    )


def backup_kind(path: Path) -> Kind | None:
    """By the first bytes of a file; ``None``: no store has written it. Raises ``OSError``."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _MAGIC)))
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
