"""Stores: where jobs are kept. One contract, a backend for each kind of place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Store


def open_location(location: str | Path) -> Store:
    """The store that ``RESUME_STORE`` names: a directory, for SQLite.

    Nothing is created before a job is begun. Raises ``ConfigurationError`` for a location of a
    kind that there is no backend for.
    """
    # The backend is imported here: those who only need the contract don't pay for it.
    from scrapy_resume.store.sqlite import SqliteStore

    text = str(location)
    if "://" not in text:
        return SqliteStore(Path(text).expanduser())
    scheme = urlsplit(text).scheme
    if scheme in ("postgres", "postgresql"):
        raise ConfigurationError(
            "RESUME_STORE: PostgreSQL is not available yet in this version; use a directory"
        )
    raise ConfigurationError(f"RESUME_STORE: no store for {scheme}:// URLs; use a directory")
