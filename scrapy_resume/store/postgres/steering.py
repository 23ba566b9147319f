"""Retries or parks requests of a job in a database, whether it is crawled or not."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Kind, Selection, State
from scrapy_resume.store.postgres.selection import selected
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.steering import PARKED, in_portions, without_retries
from scrapy_resume.store.transaction.units import settle_units

STEERING: Final = load_queries("postgres", "steering.sql")


def steer(tables: PostgresTables, selection: Selection, to: State, *, dry_run: bool = False) -> int:
    """Change the state of the selected requests, within the current transaction.

    Returns how many there were. ``to`` is ``pending``, ``parked`` or ``ignored``: skipped for
    good.
    """
    where, values = selected(selection)
    statement = (
        "SELECT v.id FROM scrapy_resume.requests AS v"
        " JOIN scrapy_resume.request AS own ON own.job = v.job_id AND own.id = v.id"
        f" WHERE {where} AND own.every_run = 0 AND own.payload <> %(unrecorded)s"
        " AND v.id > %(after)s ORDER BY v.id LIMIT %(count)s"
    )
    values = {**values, "unrecorded": UNRECORDED}

    def find(after: int, count: int) -> list[int]:
        return [row for (row,) in tables.execute(statement, **values, after=after, count=count)]

    if dry_run:
        return in_portions(find, len, selection.limit)
    total = in_portions(find, partial(_change, tables, to), selection.limit)
    if total and to is State.pending:
        tables.execute(STEERING["delete_hosts"])
        if not selection.skipped:
            tables.execute(STEERING["keep_round"], requests=total)
    settle_units(tables, tables.now)
    return total


class OpenRow(NamedTuple):
    """The columns of the statement ``hold_open``."""

    id: int
    not_before: float
    unit: int


class EndedRow(NamedTuple):
    """The columns of the statement ``hold_ended``."""

    id: int
    state: int
    items_failed: int
    unit: int


def _change(tables: PostgresTables, to: State, chosen: list[int]) -> int:
    """Change those of the rows that are not leased by now; how many."""
    open_rows = [OpenRow(*row) for row in tables.execute(STEERING["hold_open"], ids=chosen)]
    ended = [EndedRow(*row) for row in tables.execute(STEERING["hold_ended"], ids=chosen)]
    ids = [row.id for row in ended]
    changes: Counter[str] = Counter(dict.fromkeys(State.__members__, 0))
    changes.subtract(State(row.state).name for row in ended)
    for row in ended:
        tables.units.of(row.unit, Kind.request).steer(row.state, to, 1, row.items_failed)
    delayed = items_failed = 0
    if to is not State.pending:
        open_ids = [row.id for row in open_rows]
        ids += open_ids
        for pending in open_rows:
            tables.units.of(pending.unit, Kind.request).steer(State.pending, to, 1, 0)
        changes["pending"] -= len(open_rows)
        delayed = sum(row.not_before > 0 for row in open_rows)
        tables.execute(STEERING["leave_frontier"], ids=open_ids)
        tables.execute(STEERING["leave_trouble"], ids=ids)
        name = "park" if to is State.parked else "skip"
        tables.execute(STEERING[name], ids=ids, error=PARKED)
    else:
        items_failed = sum(row.items_failed for row in ended)
        _forget_retries(tables, ids)
        tables.execute(STEERING["leave_trouble"], ids=ids)
        tables.execute(STEERING["retry"], ids=ids)
    changes[to.name] += len(ids)
    counts = {**changes, "delayed": -delayed, "items_failed": -items_failed}
    tables.execute(STEERING["count"], **counts)
    return len(ids)


def _forget_retries(tables: PostgresTables, ids: list[int]) -> None:
    found: list[tuple[int, Any]] = tables.execute(STEERING["tried_again"], ids=ids).fetchall()
    if found:
        payloads = [without_retries(payload) for _, payload in found]
        changed = [row for row, _ in found]
        tables.execute(STEERING["change_payloads"], changed=changed, payloads=payloads)
