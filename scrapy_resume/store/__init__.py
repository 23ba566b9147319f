"""Where jobs are kept: one contract, a backend for each kind of place.

``contract`` says what every store promises; ``transaction`` has the steps that all backends share;
``sqlite`` and ``postgres`` are the backends, with their statements in ``sql``. How requests and
items become text is in ``codec``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scrapy_resume.posix import require_posix
from scrapy_resume.store.location import is_postgres, needed_for_postgres

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Store


def open_location(location: str | Path) -> Store:
    """The store that ``RESUME_STORE`` names: a directory, for SQLite, or the URL of a PostgreSQL
    database.

    Nothing is created before a job is begun. Raises ``ConfigurationError`` for a location of a
    kind that there is no backend for, and on a system that is not POSIX.
    """
    require_posix()
    # A backend is imported here: those who only need the contract don't pay for it.
    text = str(location)
    if is_postgres(text):
        with needed_for_postgres():
            from scrapy_resume.store.postgres.store import PostgresStore
        return PostgresStore(text)
    from scrapy_resume.store.sqlite.store import SqliteStore

    return SqliteStore(Path(text).expanduser())
