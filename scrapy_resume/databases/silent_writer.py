"""Ends the connection of a writer that is silent: a process that is frozen in the middle of a
transaction holds its locks, and would keep everybody else from the feed. PostgreSQL only."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

LONGEST: Final = 63
"""Characters of ``application_name``."""


def connection_name(writer: str) -> str:
    """What PostgreSQL shows as the name of a writer's connection: ASCII."""
    return f"scrapy-resume feed {writer}".encode("ascii", "replace").decode()[:LONGEST]


def end_connections(connection: sa.Connection, writer: str) -> int:
    """End what a writer has open in this database, as far as this role may. Returns the number.

    If it lives, it connects again, and is refused by the epoch of the feed.
    """
    ended = sa.text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = :name AND datname = current_database()"
        " AND usename = current_user AND pid <> pg_backend_pid()"
    )
    return int(connection.execute(ended, {"name": connection_name(writer)}).scalar_one())
