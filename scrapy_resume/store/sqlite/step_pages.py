"""Items of a job's file by the states of their steps, in pages."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from msgspec import structs

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Page, Span, StepSelection
from scrapy_resume.store.sqlite.cursors import as_dicts
from scrapy_resume.store.sqlite.selection import add_functions
from scrapy_resume.store.sqlite.step_filters import PLACES, VISIBLE
from scrapy_resume.store.sqlite.step_reader import STEPPED_LISTED, has_steps, with_steps
from scrapy_resume.store.transaction.paging import NEWEST, merged, page_of
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.step_filters import step_condition
from scrapy_resume.store.transaction.step_paging import StepPart, step_parts
from scrapy_resume.store.transaction.storable_text import storable

STEP_PAGES: Final = load_queries("sqlite", "step_pages.sql")

_ROWS: Final = (
    "SELECT s.id, s.request, s.key, coalesce(i.payload, s.payload) AS payload, i.id AS visible,"
    " (SELECT v.url FROM steps AS v WHERE v.item = s.id LIMIT 1) AS url,"
    " (SELECT v.unit FROM steps AS v WHERE v.item = s.id LIMIT 1) AS unit,"
    f" (SELECT l.stored_at FROM items AS l WHERE l.id = i.id) AS stored_at, {STEPPED_LISTED}"
    " FROM json_each(:ids) AS j CROSS JOIN stepped AS s"
    f" LEFT JOIN item AS i ON i.id = {VISIBLE} WHERE s.id = j.value"
)

_NOT_READY: Final = "NOT (t.state = 0 AND t.not_before = 0 AND t.suspect = 0)"


class SqliteStepPages:
    """The questions of ``PageReader`` about items with steps."""

    def _reading_job(self, key: JobKey) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only connection to the job's file."""
        raise NotImplementedError

    def stepped_page(self, key: JobKey, steps: StepSelection, span: Span) -> Page:
        """Items with such a step; see ``PageReader``."""
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return Page(rows=[])
            add_functions(connection)
            name = "" if steps.name is None else storable(steps.name)
            ((others,),) = connection.execute(STEP_PAGES["other_pending"], {"step": name})
            parts = [
                _part_page(connection, steps, span, part, name)
                for part in step_parts(steps, others)
            ]
            page = merged(parts, span.limit)
            rows = _rows(connection, [row["id"] for row in page.rows])
            return structs.replace(page, rows=rows[::-1])

    def stepped_item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One item with steps; see ``PageReader``."""
        with self._reading_job(key) as connection:
            rows = _rows(connection, [item]) if has_steps(connection) else []
            return next(iter(rows), None)

    def stepped_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The items with steps of a request; see ``PageReader``."""
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return []
            values = {"request": request, "count": limit}
            found = connection.execute(STEP_PAGES["of_request"], values).fetchall()
            return _rows(connection, [row for (row,) in found])


def _part_page(
    connection: sqlite3.Connection, steps: StepSelection, span: Span, part: StepPart, name: str
) -> Page:
    before = NEWEST if span.before is None else span.before
    bounds = {"step": name, "before": before, "bound": span.bound - 1}
    floor = None
    if part.found_by in ("troubled", "all"):
        found = connection.execute(STEP_PAGES[f"floor_of_{part.found_by}"], bounds).fetchone()
        floor = None if found is None else int(found[0])
    values: dict[str, Any] = {"step": name, "before": before, "floor": floor or 0}
    values["count"] = span.limit + 1
    statement = STEP_PAGES.get(part.found_by)
    if statement is None:
        where, more = step_condition(replace(steps, states=part.states), PLACES)
        if part.without_ready:
            where = f"{where} AND {_NOT_READY}"
        # What is read first: the items one after the other, or the few with these keys.
        tables = "stepped AS s CROSS JOIN step AS t"
        if part.found_by == "keyed":
            tables = "step AS t CROSS JOIN stepped AS s"
        statement = (
            f"SELECT DISTINCT s.id FROM {tables} WHERE t.item = s.id AND s.id < :before"
            f" AND s.id >= :floor AND {where} ORDER BY s.id DESC LIMIT :count"
        )
        values |= more
    else:
        values["states"] = json.dumps([int(state) for state in part.states])
    return page_of(list(as_dicts(connection.execute(statement, values))), span, floor)


def _rows(connection: sqlite3.Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The items, the one that was found first first."""
    found = with_steps(as_dicts(connection.execute(_ROWS, {"ids": json.dumps(ids)})))
    return sorted(found, key=lambda row: int(row["id"]))
