"""Items in a database by the states of their steps, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from msgspec import structs
from psycopg import Connection
from psycopg.rows import dict_row

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Page, Span, StepSelection
from scrapy_resume.store.postgres.step_filters import PLACES, VISIBLE
from scrapy_resume.store.postgres.step_reader import STEPPED_LISTED, has_steps
from scrapy_resume.store.transaction.paging import NEWEST, merged, page_of
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.step_filters import step_condition
from scrapy_resume.store.transaction.step_paging import StepPart, step_parts
from scrapy_resume.store.transaction.storable_text import storable

STEP_PAGES: Final = load_queries("postgres", "step_pages.sql")

_ROWS: Final = (
    "SELECT s.id, s.request, s.key, coalesce(i.payload, s.payload) AS payload, i.id AS visible,"
    " p.url, p.unit, (SELECT l.stored_at FROM scrapy_resume.items AS l"
    f" WHERE l.job_id = %(job)s AND l.id = i.id) AS stored_at, {STEPPED_LISTED}"
    " FROM scrapy_resume.stepped AS s"
    f" LEFT JOIN scrapy_resume.item AS i ON i.job = s.job AND i.id = ({VISIBLE})"
    " LEFT JOIN LATERAL (SELECT v.url, v.unit FROM scrapy_resume.steps AS v"
    " WHERE v.job_id = s.job AND v.item = s.id LIMIT 1) AS p ON true"
    " WHERE s.job = %(job)s AND s.id = ANY(%(ids)s::bigint[]) ORDER BY s.id"
)

_NOT_READY: Final = "NOT (t.state = 0 AND t.not_before = 0 AND t.suspect = 0)"


class PostgresStepPages:
    """The questions of ``PageReader`` about items with steps."""

    def _job(self, key: JobKey) -> AbstractContextManager[tuple[Connection[Any], int]]:
        """A read-only connection, and the number of the job."""
        raise NotImplementedError

    def stepped_page(self, key: JobKey, steps: StepSelection, span: Span) -> Page:
        """Items with such a step; see ``PageReader``."""
        with self._job(key) as (connection, job):
            if not has_steps(connection):
                return Page(rows=[])
            name = "" if steps.name is None else storable(steps.name)
            values = {"job": job, "step": name}
            ((others,),) = connection.execute(STEP_PAGES["other_pending"], values).fetchall()
            parts = [
                _part_page(connection, values, steps, span, part)
                for part in step_parts(steps, others)
            ]
            page = merged(parts, span.limit)
            rows = _rows(connection, job, [row["id"] for row in page.rows])
            return structs.replace(page, rows=rows[::-1])

    def stepped_item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One item with steps; see ``PageReader``."""
        with self._job(key) as (connection, job):
            rows = _rows(connection, job, [item]) if has_steps(connection) else []
            return next(iter(rows), None)

    def stepped_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The items with steps of a request; see ``PageReader``."""
        with self._job(key) as (connection, job):
            if not has_steps(connection):
                return []
            values = {"job": job, "request": request, "count": limit}
            found = connection.execute(STEP_PAGES["of_request"], values).fetchall()
            return _rows(connection, job, [row for (row,) in found])


def _part_page(
    connection: Connection[Any],
    job_and_step: dict[str, Any],
    steps: StepSelection,
    span: Span,
    part: StepPart,
) -> Page:
    before = NEWEST if span.before is None else span.before
    bounds = {**job_and_step, "before": before, "bound": span.bound - 1}
    floor = None
    if part.found_by in ("troubled", "all"):
        found = connection.execute(STEP_PAGES[f"floor_of_{part.found_by}"], bounds).fetchone()
        floor = None if found is None else int(found[0])
    values = {**bounds, "floor": floor or 0, "count": span.limit + 1}
    statement = STEP_PAGES.get(part.found_by)
    if statement is None:
        where, more = step_condition(replace(steps, states=part.states), PLACES)
        if part.without_ready:
            where = f"{where} AND {_NOT_READY}"
        statement = (
            "SELECT DISTINCT s.id FROM scrapy_resume.stepped AS s"
            " JOIN scrapy_resume.step AS t ON t.job = s.job AND t.item = s.id"
            " WHERE s.job = %(job)s AND s.id < %(before)s AND s.id >= %(floor)s"
            f" AND {where} ORDER BY s.id DESC LIMIT %(count)s"
        )
        values |= more
    else:
        values["states"] = [int(state) for state in part.states]
    cursor = connection.cursor(row_factory=dict_row)
    return page_of(cursor.execute(statement, values).fetchall(), span, floor)


def _rows(connection: Connection[Any], job: int, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The items, the one that was found first first."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(_ROWS, {"job": job, "ids": list(ids)}).fetchall()
