"""Where the crawls of the tests keep their jobs: a folder each, or a database each.

``pytest --store postgres`` runs the crawl, crash and feed tests on PostgreSQL.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer, PostgresUnavailableError
from tests.support.skips import not_started

VARIABLE = "SCRAPY_RESUME_TESTS_POSTGRES"
"""The URL of a server's own database, where jobs are to be kept in PostgreSQL."""


def on_postgres() -> bool:
    return VARIABLE in os.environ


def location(folder: Path) -> str:
    """``RESUME_STORE`` for the crawls of a folder."""
    return _database(str(folder)) if on_postgres() else str(folder)


@cache
def _database(name: str) -> str:
    import psycopg

    server = os.environ[VARIABLE]
    database = f"crawl_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    return server.rpartition("/")[0] + f"/{database}"


def has_jobs(folder: Path) -> bool:
    """Whether something was ever kept there."""
    return on_postgres() or folder.exists()


@pytest.fixture(scope="session", autouse=True)
def store_of_the_crawls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Starts a server, if the crawls are to be kept in one."""
    if request.config.getoption("--store") != "postgres":
        yield
        return
    try:
        server = PostgresServer({"fsync": "off"})
        server.__enter__()
    except PostgresUnavailableError as error:
        not_started("PostgreSQL", error)
    os.environ[VARIABLE] = server.url()
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        server.close()
