"""Skips requests of a job's file for good, or undoes that: by its owner or while there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from scrapy_resume.model import Selection, SkipRule
from scrapy_resume.store.sqlite.selection import add_functions, selected
from scrapy_resume.store.sqlite.skip_tables import SqliteSkips
from scrapy_resume.store.sqlite.steering import steer
from scrapy_resume.store.transaction.skips import (
    keep_settings,
    leased_ones,
    skip,
    sweep,
    unskip,
)


def skips_of(connection: sqlite3.Connection) -> SqliteSkips:
    """The statements within the transaction of a connection."""
    tables = SqliteSkips()
    tables.use(connection)
    return tables


def change_skips(
    connection: sqlite3.Connection,
    selection: Selection,
    *,
    undo: bool,
    slots: set[int] | None = None,
) -> int:
    """Skip the selected requests, or undo that, within the current transaction; how many."""
    change = unskip if undo else skip
    by_command = partial(steer, connection, slots=slots)
    return change(skips_of(connection), selection, partial(_find, connection), by_command)


def keep_skips(connection: sqlite3.Connection, wanted: Sequence[SkipRule]) -> None:
    """What RESUME_SKIP says, at an opening: what is pending is skipped if it is to be."""
    tables = skips_of(connection)
    keep_settings(tables, wanted)
    if tables.version():
        sweep(tables, partial(steer, connection))


def sweep_skips(connection: sqlite3.Connection) -> tuple[set[int], set[int]]:
    """Skip what is pending and to be skipped, within the current transaction.

    Returns the download slots that it was in, and the leased rows that are to be skipped too.
    """
    slots: set[int] = set()
    tables = skips_of(connection)
    sweep(tables, partial(steer, connection, slots=slots))
    return slots, leased_ones(tables, partial(_find, connection))


def _find(
    connection: sqlite3.Connection, selection: Selection, after: int, count: int
) -> list[int]:
    add_functions(connection)
    source, where, values = selected(selection)
    statement = (
        f"SELECT v.id FROM {source} WHERE {where} AND v.id > :after ORDER BY v.id LIMIT :count"
    )
    bounds = {"after": after, "count": count}
    return [row for (row,) in connection.execute(statement, {**values, **bounds})]
