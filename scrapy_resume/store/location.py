"""The driver of a database that a location names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scrapy_resume.errors import ConfigurationError


@contextmanager
def needed_for_postgres() -> Iterator[None]:
    """Around the imports of the PostgreSQL backend."""
    try:
        yield
    except ImportError as error:
        if not (error.name or "").startswith("psycopg") and "libpq" not in str(error):
            raise
        raise ConfigurationError(
            "RESUME_STORE names a PostgreSQL database, and its driver is not installed: "
            'pip install "scrapy-resume[postgres]"'
        ) from error
