"""Rows into a job's file and out of it, in few statements and in little memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

ROWS_A_STATEMENT: Final = (256, 16, 4, 1)
"""SQLite takes up to 32,766 parameters; few different statements stay prepared."""

ROWS_AT_ONCE: Final = 500
"""Fetched from a cursor."""

_VALUES: Final = re.compile(r"VALUES\s*(\([?,\s]*\))")


def insert_many(
    connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]
) -> None:
    """Insert rows by an ``INSERT … VALUES (?, …)`` for one row, in as few statements as possible.

    The driver releases the interpreter's lock for each statement, and getting it back beside a
    busy event loop costs fifty times what inserting a row does.
    """
    start = 0
    for count in ROWS_A_STATEMENT:
        wanted = _repeated(statement, count)
        while len(rows) - start >= count:
            portion = rows[start : start + count]
            connection.execute(wanted, tuple(chain.from_iterable(portion)))
            start += count


@lru_cache
def _repeated(statement: str, count: int) -> str:
    before, values, after = _VALUES.split(statement)
    return f"{before}VALUES {', '.join([values] * count)}{after}"


def as_dicts(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns, fetched in portions."""
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        for row in rows:
            yield dict(zip(names, row, strict=True))
