"""The read side of a database of jobs, with answers in pages; see ``store.contract.pages``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from msgspec import structs
from psycopg import Connection
from psycopg.rows import dict_row

from scrapy_resume.model import JobKey, Selection, State, UnitState
from scrapy_resume.store.contract import Page, Span, Stamp, UnitPage, UnitPlace
from scrapy_resume.store.postgres.reader import READ, PostgresReader
from scrapy_resume.store.postgres.schema import version_of
from scrapy_resume.store.postgres.selection import POSTGRES, selected
from scrapy_resume.store.postgres.step_pages import PostgresStepPages
from scrapy_resume.store.postgres.step_reader import has_steps, listed_items
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
from scrapy_resume.store.transaction.storable_text import storable

PAGES: Final = load_queries("postgres", "pages.sql")

FLOORS: Final = {
    None: PAGES["floor_of_requests"],
    State.failed: PAGES["floor_of_troubled"],
    State.parked: PAGES["floor_of_troubled"],
    State.pending: PAGES["floor_of_open"],
}

HOSTS_AT_MOST: Final = 1_000


class PostgresPages(PostgresReader, PostgresStepPages):
    """Questions about the jobs in a database, some of them answered in pages."""

    def stamps(self) -> dict[JobKey, Stamp]:
        """All jobs, by their last change; see ``PageReader``."""
        with self._reading() as connection:
            if version_of(connection, self._link.place) == 0:
                return {}
            return {
                JobKey(row["name"], row["number"]): Stamp(row["changed_at"], tuple(row.values()))
                for row in _rows(connection, PAGES["stamps"], {})
            }

    def request_page(self, key: JobKey, selection: Selection, span: Span) -> Page:
        """Selected requests, the newest first; see ``PageReader``."""
        with self._job(key) as (connection, job):
            if selection.ids is not None or selection.skipped:
                parts = [_request_page(connection, job, selection, span, None)]
            else:
                parts = [
                    _part_page(connection, job, selection, span, part)
                    for part in parts_of(selection)
                ]
            page = merged(parts, span.limit)
            return structs.replace(page, rows=in_hand_of(page.rows, _marks(connection, job)))

    def request(self, key: JobKey, row: int) -> dict[str, Any] | None:
        """One request; see ``PageReader``."""
        statement = (
            f"SELECT v.id, v.parent, v.slot, {LISTED} FROM scrapy_resume.requests AS v"
            " WHERE v.job_id = %(job)s AND v.id = %(row)s"
        )
        with self._job(key) as (connection, job):
            rows = _rows(connection, statement, {"job": job, "row": row})
            return next(iter(in_hand_of(rows, _marks(connection, job))), None)

    def item_page(
        self, key: JobKey, selection: Selection, span: Span, text: str | None = None
    ) -> Page:
        """Items of selected requests, the newest first; see ``PageReader``."""
        where, values = condition(of_requests(selection), POSTGRES)
        parts = [lacking(selection, POSTGRES)]
        if where != "true":
            parts.append(
                "EXISTS (SELECT 1 FROM scrapy_resume.requests AS v"
                f" WHERE v.job_id = i.job AND v.id = i.request AND {where})"
            )
        if text:
            parts.append("strpos(lower(i.payload), %(text)s) > 0")
        chosen = (
            " WHERE i.job = %(job)s AND i.id < %(before)s AND i.id >= %(floor)s"
            f" AND {' AND '.join(parts)} ORDER BY i.id DESC LIMIT %(count)s"
        )
        values = {
            **values,
            "missing": list(words(selection.missing)),
            "text": storable(text_in_json(text or "")),
        }
        with self._job(key) as (connection, job):
            floor = _floor(connection, PAGES["floor_of_items"], {"job": job}, span)
            found = {**values, **_bounds(span, floor), "job": job}
            return page_of(_items(connection, chosen, found), span, floor)

    def items_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The first items of a request; see ``PageReader``."""
        with self._job(key) as (connection, job):
            chosen = (
                " WHERE i.job = %(job)s AND i.request = %(request)s ORDER BY i.id LIMIT %(count)s"
            )
            return _items(connection, chosen, {"job": job, "request": request, "count": limit})

    def item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One item; see ``PageReader``."""
        with self._job(key) as (connection, job):
            chosen = " WHERE i.job = %(job)s AND i.id = %(item)s"
            return next(iter(_items(connection, chosen, {"job": job, "item": item})), None)

    def unit_page(
        self, key: JobKey, states: tuple[UnitState, ...], after: UnitPlace | None, limit: int
    ) -> UnitPage:
        """Units in these states; see ``PageReader``."""
        with self._job(key) as (connection, job):
            stepped = has_steps(connection)

            def find(state: UnitState, began: int, count: int) -> list[dict[str, Any]]:
                values = {"job": job, "state": int(state), "after": began, "count": count}
                statement = PAGES["units_after"]
                if not stepped:
                    statement = statement.replace("c.items_open", "0 AS items_open")
                return _rows(connection, statement, values)

            return unit_page_of(find, states, after, limit)

    def host_notes(self, key: JobKey) -> list[dict[str, Any]]:
        """Hosts that wait; see ``PageReader``."""
        return self._paged(key, "host_notes", count=HOSTS_AT_MOST)

    def answered(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Ends by minute and HTTP status; see ``PageReader``."""
        return self._paged(key, "answered", bound=bound)

    def _paged(self, key: JobKey, name: str, **values: int) -> list[dict[str, Any]]:
        with self._job(key) as (connection, job):
            return _rows(connection, PAGES[name], {**values, "job": job})


def _part_page(
    connection: Connection[Any], job: int, selection: Selection, span: Span, part: Part
) -> Page:
    chosen = replace(selection, states=part.states)
    return _request_page(connection, job, chosen, span, part)


def _request_page(
    connection: Connection[Any], job: int, selection: Selection, span: Span, part: Part | None
) -> Page:
    where, values = selected(selection)
    floors = None if part is None else FLOORS.get(part.found_by)  # what is leased is never much
    floor = None
    values = {**values, "job": job}
    if floors is not None and part is not None:
        state = 0 if part.found_by is None else int(part.found_by)
        floor = _floor(connection, floors, {"job": job, "state": state}, span)
    statement = (
        f"SELECT v.id, {LISTED} FROM scrapy_resume.requests AS v WHERE {where}"
        " AND v.id < %(before)s AND v.id >= %(floor)s ORDER BY v.id DESC LIMIT %(count)s"
    )
    found = _rows(connection, statement, {**values, **_bounds(span, floor)})
    return page_of(found, span, floor)


def _floor(
    connection: Connection[Any], statement: str, values: dict[str, int], span: Span
) -> int | None:
    bounds = {"before": _before(span), "bound": span.bound - 1}
    found = connection.execute(statement, {**values, **bounds}).fetchone()
    return None if found is None else int(found[0])


def _bounds(span: Span, floor: int | None) -> dict[str, int]:
    return {"before": _before(span), "floor": floor or 0, "count": span.limit + 1}


def _before(span: Span) -> int:
    return NEWEST if span.before is None else span.before


def _marks(connection: Connection[Any], job: int) -> set[int]:
    return {row for (row,) in connection.execute(READ["marks_of_runs"], {"job": job})}


def _rows(
    connection: Connection[Any], statement: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row).execute(statement, values).fetchall()


def _items(
    connection: Connection[Any], chosen: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    listed, items = listed_items(connection)
    statement = f"SELECT i.id, i.request, {listed} FROM {items}{chosen}"
    return [{**row, "open": row["open"] or 0} for row in _rows(connection, statement, values)]
