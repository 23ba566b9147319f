"""Retries or parks requests of a job in a file, by its owner or while there is none."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from typing import Final

from scrapy_resume.model import Kind, Selection, State
from scrapy_resume.store.sqlite.selection import add_functions, selected
from scrapy_resume.store.sqlite.tables import SqliteTables
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.steering import PARKED, in_portions, without_retries
from scrapy_resume.store.transaction.units import UnitChanges, settle_units

STEERING: Final = load_queries("sqlite", "steering.sql")


def steer(
    connection: sqlite3.Connection,
    selection: Selection,
    to: State,
    *,
    dry_run: bool = False,
    slots: set[int] | None = None,
) -> int:
    """Change the state of the selected requests, within the current transaction.

    Returns how many there were. ``to`` is ``pending``, ``parked`` or ``ignored`` (skipped for
    good). The ids of the download slots of what is changed are added to ``slots``.
    """
    add_functions(connection)
    source, where, values = selected(selection)
    statement = (
        f"SELECT v.id FROM {source} CROSS JOIN request AS own WHERE {where} AND own.id = v.id"
        " AND own.every_run = 0 AND own.payload <> :unrecorded AND v.id > :after"
        " ORDER BY v.id LIMIT :count"
    )
    values = {**values, "unrecorded": UNRECORDED}

    def find(after: int, count: int) -> list[int]:
        bounds = {"after": after, "count": count}
        return [row for (row,) in connection.execute(statement, {**values, **bounds})]

    if dry_run:
        return in_portions(find, len, selection.limit)
    tables = SqliteTables()
    tables.begin(connection)

    def change(ids: list[int]) -> int:
        if slots is not None:
            rows = connection.execute(STEERING["slots_of"], {"ids": json.dumps(ids)})
            slots.update(slot for (slot,) in rows)
        return _change(connection, tables.units, to, ids)

    total = in_portions(find, change, selection.limit)
    settle_units(tables, time.time())
    if total and to is State.pending:
        connection.execute(STEERING["delete_hosts"])
        if not selection.skipped:
            connection.execute(STEERING["keep_round"], {"now": time.time(), "requests": total})
    return total


def _change(connection: sqlite3.Connection, units: UnitChanges, to: State, ids: list[int]) -> int:
    values = {"ids": json.dumps(ids), "now": time.time(), "error": PARKED}
    changes: Counter[str] = Counter(dict.fromkeys(State.__members__, 0))
    delayed = items_failed = 0
    for state, count, late, failed in connection.execute(STEERING["leave_states"], values):
        changes[State(state).name] -= count
        delayed += late
        items_failed += failed
    changes[to.name] += len(ids)
    for unit, state, count, failed in connection.execute(STEERING["leave_units"], values):
        units.of(unit, Kind.request).steer(state, to, count, failed)
    connection.execute(STEERING["leave_slots"], values)
    if to is State.pending:
        payloads = connection.execute(STEERING["tried_again"], values).fetchall()
        rows = [(without_retries(payload), row) for row, payload in payloads]
        connection.executemany(STEERING["change_payload"], rows)
        connection.execute(STEERING["begin_rounds"], values)
        connection.execute(STEERING["count_rounds"], values)
        connection.execute(STEERING["retry"], values)
        connection.execute(STEERING["enter_slots"], values)
    else:
        connection.execute(STEERING["park" if to is State.parked else "skip"], values)
        items_failed = 0
    counts = {**changes, "delayed": -delayed, "items_failed": -items_failed}
    connection.execute(STEERING["count"], {**counts, "now": values["now"]})
    return len(ids)
