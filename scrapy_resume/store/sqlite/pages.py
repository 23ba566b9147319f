"""The read side of a directory of jobs, with answers in pages; see ``store.contract.pages``."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from scrapy_resume.model import JobKey, Selection, State, UnitState
from scrapy_resume.store.contract import Page, Span, Stamp, UnitPage, UnitPlace
from scrapy_resume.store.sqlite.cursors import as_dicts
from scrapy_resume.store.sqlite.errors import translated
from scrapy_resume.store.sqlite.files import beside, job_files
from scrapy_resume.store.sqlite.reader import SqliteReader, reading
from scrapy_resume.store.sqlite.selection import SQLITE, add_functions, selected
from scrapy_resume.store.sqlite.step_pages import SqliteStepPages
from scrapy_resume.store.sqlite.step_reader import has_steps, listed_items, with_steps
from scrapy_resume.store.transaction.paging import (
    NEWEST,
    Part,
    in_hand_of,
    merged,
    page_of,
    parts_of,
    text_in_json,
    unit_page_of,
)
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import (
    LISTED,
    condition,
    lacking,
    of_requests,
    words,
)

PAGES: Final = load_queries("sqlite", "pages.sql")

FLOORS: Final = {
    None: PAGES["floor_of_requests"],
    State.failed: PAGES["floor_of_failed"],
    State.parked: PAGES["floor_of_parked"],
    State.leased: PAGES["floor_of_leased"],
}

HOSTS_AT_MOST: Final = 1_000
IDS_AT_ONCE: Final = 500
"""Pending requests that are read at a time."""


class SqlitePages(SqliteReader, SqliteStepPages):
    """Questions about the jobs in a directory, some of them answered in pages."""

    def stamps(self) -> dict[JobKey, Stamp]:
        """All jobs, by the times and sizes of their files; see ``PageReader``."""
        found = {}
        with translated(self.directory):
            for job in job_files(self.directory):
                marks = [_mark(path) for path in (job.path, beside(job.path, "-wal"))]
                found[job.key] = Stamp(max(changed for changed, _ in marks) / 1e9, tuple(marks))
        return found

    def request_page(self, key: JobKey, selection: Selection, span: Span) -> Page:
        """Selected requests, the newest first; see ``PageReader``."""
        with reading(self.path(key)) as connection:
            add_functions(connection)
            if selection.ids is not None or selection.skipped:
                page = _request_page(connection, selection, span, None)
            else:
                parts = [
                    _part_page(connection, selection, span, part) for part in parts_of(selection)
                ]
                page = merged(parts, span.limit)
            return structs.replace(page, rows=in_hand_of(page.rows, self._marks(connection, key)))

    def request(self, key: JobKey, row: int) -> dict[str, Any] | None:
        """One request; see ``PageReader``."""
        statement = f"SELECT v.id, v.parent, v.slot, {LISTED} FROM requests AS v WHERE v.id = ?"
        with reading(self.path(key)) as connection:
            rows = list(as_dicts(connection.execute(statement, (row,))))
            return next(iter(in_hand_of(rows, self._marks(connection, key))), None)

    def item_page(
        self, key: JobKey, selection: Selection, span: Span, text: str | None = None
    ) -> Page:
        """Items of selected requests, the newest first; see ``PageReader``."""
        where, values = condition(of_requests(selection), SQLITE)
        parts = [lacking(selection, SQLITE)]
        if where != "true":
            # Asked for each item that is looked at: what is selected is not read as a whole.
            parts.append(f"EXISTS (SELECT 1 FROM requests AS v WHERE v.id = i.request AND {where})")
        if text:
            parts.append("instr(lower(i.payload), :text) > 0")
        chosen = (
            f" WHERE l.id = i.id AND i.id < :before AND i.id >= :floor AND {' AND '.join(parts)}"
            " ORDER BY i.id DESC LIMIT :count"
        )
        values = {
            **values,
            "missing": json.dumps(words(selection.missing)),
            "text": text_in_json(text or ""),
        }
        with reading(self.path(key)) as connection:
            add_functions(connection)
            floor = _floor(connection, PAGES["floor_of_items"], span)
            rows = _items(connection, chosen, {**values, **_bounds(span, floor)})
            return page_of(rows, span, floor)

    def items_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The first items of a request; see ``PageReader``."""
        with reading(self.path(key)) as connection:
            chosen = " WHERE i.request = :request AND l.id = i.id ORDER BY i.id LIMIT :count"
            return _items(connection, chosen, {"request": request, "count": limit})

    def item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One item; see ``PageReader``."""
        with reading(self.path(key)) as connection:
            chosen = " WHERE i.id = :item AND l.id = i.id"
            return next(iter(_items(connection, chosen, {"item": item})), None)

    def unit_page(
        self, key: JobKey, states: tuple[UnitState, ...], after: UnitPlace | None, limit: int
    ) -> UnitPage:
        """Units in these states; see ``PageReader``."""
        with reading(self.path(key)) as connection:
            stepped = has_steps(connection)

            def find(state: UnitState, began: int, count: int) -> list[dict[str, Any]]:
                values = {"state": int(state), "after": began, "count": count}
                statement = PAGES["units_after"]
                if not stepped:
                    statement = statement.replace("c.items_open", "0 AS items_open")
                return list(as_dicts(connection.execute(statement, values)))

            return unit_page_of(find, states, after, limit)

    def host_notes(self, key: JobKey) -> list[dict[str, Any]]:
        """Hosts that wait; see ``PageReader``."""
        return self._paged(key, "host_notes", count=HOSTS_AT_MOST)

    def answered(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Ends by minute and HTTP status; see ``PageReader``."""
        return self._paged(key, "answered", bound=bound)

    def _paged(self, key: JobKey, name: str, **values: int) -> list[dict[str, Any]]:
        with reading(self.path(key)) as connection:
            return list(as_dicts(connection.execute(PAGES[name], values)))


def _mark(path: Path) -> tuple[int, int]:
    """When a file was written last, in nanoseconds, and its size; zeros if it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _part_page(
    connection: sqlite3.Connection, selection: Selection, span: Span, part: Part
) -> Page:
    chosen = replace(selection, states=part.states)
    if part.found_by is not State.pending:
        return _request_page(connection, chosen, span, FLOORS[part.found_by])
    found = connection.execute(PAGES["pending"], {"bound": span.bound + 1}).fetchall()
    # Of very many, those that are leased next: there is no way from one part of them to the next.
    is_cut = len(found) > span.bound
    ids = sorted((row for (row,) in found[: span.bound] if row < _before(span)), reverse=True)
    rows: list[dict[str, Any]] = []
    for first in range(0, len(ids), IDS_AT_ONCE):
        named = replace(chosen, ids=tuple(ids[first : first + IDS_AT_ONCE]))
        left = structs.replace(span, limit=span.limit - len(rows))
        page = _request_page(connection, named, left, None)
        rows += page.rows
        if page.before is not None:
            return Page(rows=rows, before=page.before)
        if len(rows) == span.limit:
            following = first + IDS_AT_ONCE < len(ids)
            return Page(rows=rows, before=rows[-1]["id"] if following else None)
    return Page(rows=rows, looked_at=span.bound if is_cut else None)


def _request_page(
    connection: sqlite3.Connection, selection: Selection, span: Span, floors: str | None
) -> Page:
    source, where, values = selected(selection)
    # The first table of the source is read by its key: in its order, and no further than the floor.
    row = "v.id" if source == "requests AS v" else "r.id" if "AS r" in source else "j.value"
    floor = None if floors is None else _floor(connection, floors, span)
    statement = (
        f"SELECT v.id, {LISTED} FROM {source}"
        f" WHERE {where} AND {row} < :before AND {row} >= :floor ORDER BY {row} DESC LIMIT :count"
    )
    found = connection.execute(statement, {**values, **_bounds(span, floor)})
    return page_of(list(as_dicts(found)), span, floor)


def _floor(connection: sqlite3.Connection, statement: str, span: Span) -> int | None:
    values = {"before": _before(span), "bound": span.bound - 1}
    found = connection.execute(statement, values).fetchone()
    return None if found is None else int(found[0])


def _bounds(span: Span, floor: int | None) -> dict[str, int]:
    return {"before": _before(span), "floor": floor or 0, "count": span.limit + 1}


def _before(span: Span) -> int:
    return NEWEST if span.before is None else span.before


def _items(
    connection: sqlite3.Connection, chosen: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    listed, items = listed_items(connection)
    statement = f"SELECT i.id, i.request, {listed} FROM {items}{chosen}"
    return list(with_steps(as_dicts(connection.execute(statement, values))))
