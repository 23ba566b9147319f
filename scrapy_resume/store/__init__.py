"""Stores: where jobs are kept. One contract, two backends.

What a store guarantees is in ``contract``, the steps that backends share in ``transaction``, the
backends in ``sqlite`` and ``postgres``, their SQL in ``sql``. What a run does with a store is in
``run`` and ``commits``.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy_resume.posix import require_posix
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.store.location import needed_for_postgres

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Store


def open_location(location: str | PathLike[str]) -> Store:
    """The store that ``RESUME_STORE`` names: a directory, for SQLite, or the URL of a PostgreSQL
    database.

    Nothing is created before a job begins. Raises ``ConfigurationError`` for a location that no
    backend supports, and on a system that is not POSIX.
    """
    require_posix()
    # Imported here, so that a process imports only the backend that it uses.
    place = parsed_location(location)
    if place.is_database:
        with needed_for_postgres():
            from scrapy_resume.store.postgres.store import PostgresStore
        return PostgresStore(place)
    from scrapy_resume.store.sqlite.store import SqliteStore

    return SqliteStore(Path(place))
