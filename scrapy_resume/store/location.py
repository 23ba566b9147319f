"""Which kind of store a location names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scrapy_resume.errors import ConfigurationError


def is_postgres(location: str) -> bool:
    """Whether it is a database's URL; a directory otherwise. Raises ``ConfigurationError``."""
    if "://" not in location:
        return False
    scheme = location.partition("://")[0]
    if scheme in ("postgres", "postgresql"):
        return True
    raise ConfigurationError(
        f"RESUME_STORE: no store for {scheme}:// URLs; use a directory, or postgresql://"
    )


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
