"""Ends the process at the n-th write of the store.

A write point is the moment before a statement that writes, as SQLite's own trace shows
it: before BEGIN, between the statements of a transaction, before COMMIT, and, with the
next BEGIN, after it. Rows of one ``executemany`` are one point.

The settings of this project call ``install``; it does nothing unless the environment
asks for it. ``KINDS_EXIT_AT_WRITE`` is the number of the point to end at, from 1;
``KINDS_COUNT_WRITES`` names a file that gets a byte for each point that was passed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from typing import Any

EXIT_CODE = 77
WRITES = {"BEGIN", "COMMIT", "CREATE", "DELETE", "INSERT", "REPLACE", "UPDATE"}
TELLING_CHARACTERS = 40
"""Of a statement; enough to tell it from the one before."""


class WritePoints:
    """Counts write points over all connections of this process, in their order."""

    def __init__(self, exit_at: int, count_file: str) -> None:
        self.exit_at = exit_at
        self.passed = 0
        self.last = ""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.descriptor = os.open(count_file, flags, 0o644) if count_file else None

    def traced(self, statement: str) -> None:
        start = statement.lstrip()[:TELLING_CHARACTERS].upper()
        is_repeated, self.last = start == self.last, start
        if is_repeated or not WRITES.intersection(start.split(None, 1)[:1]):
            return
        self.passed += 1
        if self.descriptor is not None:
            os.write(self.descriptor, b".")
        if self.passed == self.exit_at:
            os._exit(EXIT_CODE)


def install(environment: Mapping[str, str]) -> None:
    """Traces every connection that is opened from now on, if the environment asks for it."""
    exit_at = int(environment.get("KINDS_EXIT_AT_WRITE", "0"))
    count_file = environment.get("KINDS_COUNT_WRITES", "")
    if not exit_at and not count_file:
        return
    points = WritePoints(exit_at, count_file)
    connect = sqlite3.connect

    def traced_connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(points.traced)
        return connection

    setattr(sqlite3, "connect", traced_connect)  # noqa: B010 - the types forbid to assign it
