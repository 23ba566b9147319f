"""Steps of items in a job's file, as many as wanted: written into its tables, since a crawl would
take an hour for a million of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

STEPS_A_ITEM = 2


def add_steps(store: Path, items: int) -> None:
    """Have the only job of a directory so many items with two steps each, ``photos`` and ``vin``.

    Of a hundred items 90 are done, 5 failed, 1 skipped, 3 pending, 1 waits for its other step."""
    (path,) = store.glob("*.sqlite3")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_KINDS)
        connection.execute(_ITEMS, {"items": items})
        for kind in (1, 2):
            connection.execute(_STEPS, {"kind": kind, "items": items})
        for statement in _COUNTERS.split(";"):
            connection.execute(statement)
        connection.execute("COMMIT")


_KINDS = "INSERT INTO step_kind (id, name) VALUES (1, 'photos'), (2, 'vin')"
_NUMBERS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :items) "
_ITEMS = (
    "INSERT INTO stepped (id, version, request, occurrence, key, updates, open, shown, payload) "
    f"{_NUMBERS}SELECT id, 1, id, 0, 'item-' || id, 0, id % 100 > 95, 0, "
    """'{"page":' || id || ',"name":"an item of some length, as items are"}' FROM n"""
)
_STEPS = (
    "INSERT INTO step (item, kind, state, attempts, error, error_message, first_at, last_at) "
    f"{_NUMBERS}SELECT id, :kind, CASE WHEN id % 100 < 90 THEN 2 WHEN id % 100 < 95 THEN 3 "
    "WHEN id % 100 < 96 THEN 5 WHEN id % 100 < 99 THEN 0 ELSE 6 END, 1, "
    "CASE WHEN id % 100 BETWEEN 90 AND 94 THEN 'DownloadFailedError' END, "
    "CASE WHEN id % 100 BETWEEN 90 AND 94 THEN 'HTTP 502' END, 1.7e9, 1.7e9 + id / 10 FROM n"
)
_COUNTERS = """
INSERT INTO step_tally (kind, ready, waiting, done, failed, skipped)
SELECT kind, sum(state = 0), sum(state = 6), sum(state = 2), sum(state = 3), sum(state = 5)
FROM step GROUP BY kind;
INSERT INTO step_day (day, kind, attempts, retries, done, failed, skipped)
SELECT CAST(last_at / 86400 AS INTEGER), kind, count(*), 0, sum(state = 2), sum(state = 3),
    sum(state = 5)
FROM step GROUP BY 1, 2;
UPDATE job SET steps_open = (SELECT sum(ready + waiting) FROM step_tally),
    next_stepped = (SELECT max(id) + 1 FROM stepped);
"""
