"""The read side of the items in a database, and of their steps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from scrapy_resume.model import JobKey, Selection, StepCounts
from scrapy_resume.store.contract import StepSelection
from scrapy_resume.store.postgres.selection import POSTGRES, selected
from scrapy_resume.store.postgres.step_filters import PLACES, VISIBLE
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import (
    EVERYTHING,
    ITEM_LISTED,
    lacking,
    of_requests,
    words,
)
from scrapy_resume.store.transaction.step_filters import TROUBLED_STEPS, step_condition
from scrapy_resume.store.transaction.storable_text import storable

READS: Final = load_queries("postgres", "step_reads.sql")

ROWS_AT_ONCE: Final = 500

_STEPS: Final = (
    "coalesce((SELECT json_agg(json_build_object('step', v.step, 'state', v.state,"
    " 'attempts', v.attempts, 'error', v.error, 'error_message', v.error_message,"
    " 'not_before', v.not_before, 'first_at', v.first_at, 'last_at', v.last_at,"
    " 'version', v.version) ORDER BY (SELECT k.id FROM scrapy_resume.step_kind AS k"
    " WHERE k.job = v.job_id AND k.name = v.step)) FROM scrapy_resume.steps AS v"
    " WHERE v.job_id = %(job)s AND v.item = s.id), '[]')"
)

STEPPED_LISTED: Final = f"coalesce(s.open, 0) AS open, {_STEPS} AS steps"
"""What is listed of ``s``, the item with steps."""

STEPPED_OF_ITEM: Final = (
    "s.job = i.job AND s.id = CASE WHEN i.key IS NULL THEN ("
    "SELECT w.id FROM scrapy_resume.stepped AS w WHERE w.job = i.job AND w.request = i.request"
    " AND w.occurrence = i.occurrence AND w.updates = 0)"
    " ELSE (SELECT w.id FROM scrapy_resume.stepped AS w"
    " WHERE w.job = i.job AND w.key = i.key AND w.updates = 1) END"
)
"""The condition that ``s`` is the item with steps that the visible item ``i`` is of."""


class PostgresStepReader:
    """See ``StepReader``, and ``Reader.item_records``."""

    def _job(self, key: JobKey) -> AbstractContextManager[tuple[Connection[Any], int]]:
        """A read-only connection, and the number of the job."""
        raise NotImplementedError

    def step_counts(self, key: JobKey) -> dict[str, StepCounts]:
        """The steps by name and state."""
        rows = self._rows(key, READS["counts"])
        return {name: StepCounts(*counts) for name, *counts in rows}

    def step_failures(self, key: JobKey, examples: int, bound: int) -> list[dict[str, Any]]:
        """The failed and parked steps by name and error; see ``StepReader``."""
        groups: list[dict[str, Any]] = []
        for kind, name in self._rows(key, READS["kinds"]):
            values = {"kind": kind, "step": name, "examples": examples, "bound": bound}
            groups += self._dicts(key, READS["failures"], values)
        return sorted(groups, key=lambda group: -group["count"])

    def step_days(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts by day and step."""
        return self._dicts(key, READS["days"], {})

    def item_records(
        self, key: JobKey, selection: Selection = EVERYTHING
    ) -> Iterator[dict[str, Any]]:
        """The items of the selected requests; see ``Reader.item_records``."""
        where, values = selected(of_requests(selection))
        lacking_one = lacking(selection, POSTGRES)
        chosen = "i.job = %(job)s"
        if not of_requests(selection).is_everything or selection.states:
            chosen += (
                f" AND i.request IN (SELECT v.id FROM scrapy_resume.requests AS v WHERE {where})"
            )
        values = {**values, "missing": list(words(selection.missing)), "count": selection.limit}
        with self._job(key) as (connection, job):
            listed, items = listed_items(connection)
            statement = (
                f"SELECT {listed} FROM {items}"
                f" WHERE {chosen} AND {lacking_one} ORDER BY i.id LIMIT %(count)s"
            )
            yield from streamed(connection, statement, {**values, "job": job})

    def stepped_items(
        self, key: JobKey, steps: StepSelection, selection: Selection = EVERYTHING
    ) -> Iterator[dict[str, Any]]:
        """The items that have one of the selected steps; see ``StepReader``."""
        where, values = step_condition(steps, PLACES)
        # What is found by an index goes first; of other steps there may be as many as of items.
        few = steps.keys is not None or (steps.states and TROUBLED_STEPS.issuperset(steps.states))
        if few and not steps.missing:
            condition = (
                "s.id = ANY(ARRAY(SELECT t.item FROM scrapy_resume.step AS t"
                f" WHERE t.job = %(job)s AND {where}))"
            )
        else:
            condition = (
                "EXISTS (SELECT 1 FROM scrapy_resume.step AS t"
                f" WHERE t.job = s.job AND t.item = s.id AND {where})"
            )
        statement = (
            "SELECT coalesce(i.payload, s.payload) AS payload, p.url, p.unit, s.key,"
            " (SELECT l.stored_at FROM scrapy_resume.items AS l"
            f" WHERE l.job_id = %(job)s AND l.id = i.id) AS stored_at, {STEPPED_LISTED}"
            " FROM scrapy_resume.stepped AS s"
            f" LEFT JOIN scrapy_resume.item AS i ON i.job = s.job AND i.id = ({VISIBLE})"
            " LEFT JOIN LATERAL (SELECT v.url, v.unit FROM scrapy_resume.steps AS v"
            " WHERE v.job_id = s.job AND v.item = s.id LIMIT 1) AS p ON true"
            f" WHERE s.job = %(job)s AND {condition}"
        )
        requests = of_requests(selection)
        if not requests.is_everything or requests.states:
            chosen, more = selected(requests)
            statement += (
                f" AND s.request IN (SELECT v.id FROM scrapy_resume.requests AS v WHERE {chosen})"
            )
            values = {**more, **values}
        with self._job(key) as (connection, job):
            if not has_steps(connection):
                return
            values |= {"job": job, "count": steps.limit}
            yield from streamed(connection, f"{statement} ORDER BY s.id LIMIT %(count)s", values)

    def count_steps(self, key: JobKey, steps: StepSelection) -> int:
        """How many steps are selected."""
        where, values = step_condition(steps, PLACES)
        statement = (
            "SELECT count(*) FROM scrapy_resume.step AS t"
            " JOIN scrapy_resume.stepped AS s ON s.job = t.job AND s.id = t.item"
            f" WHERE t.job = %(job)s AND {where}"
        )
        return self._number(key, statement, values)

    def hidden_items(self, key: JobKey) -> int:
        """How many items are not visible yet."""
        return self._number(key, READS["hidden_items"], {})

    def known_item_keys(self, key: JobKey, keys: Collection[str]) -> set[str]:
        """Those of these keys that items with steps have."""
        rows = self._rows(key, READS["known_keys"], keys=list(map(storable, keys)))
        return {found for (found,) in rows}

    def item_keys(self, key: JobKey, count: int) -> list[str]:
        """The keys of the last items with steps."""
        return [found for (found,) in self._rows(key, READS["last_keys"], count=count)]

    def _number(self, key: JobKey, statement: str, values: dict[str, Any]) -> int:
        return sum(count for (count,) in self._rows(key, statement, **values))

    def _rows(self, key: JobKey, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """None in a database of an older version, as of ``_dicts``."""
        with self._job(key) as (connection, job):
            if not has_steps(connection):
                return []
            return connection.execute(statement, {**values, "job": job}).fetchall()

    def _dicts(self, key: JobKey, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        with self._job(key) as (connection, job):
            if not has_steps(connection):
                return []
            cursor = connection.cursor(row_factory=dict_row)
            return cursor.execute(statement, {**values, "job": job}).fetchall()


def listed_items(connection: Connection[Any]) -> tuple[str, str]:
    """What is listed of visible items, and from which tables; ``i`` is the item."""
    tables = (
        "scrapy_resume.item AS i JOIN scrapy_resume.items AS l ON l.job_id = i.job AND l.id = i.id"
    )
    if not has_steps(connection):
        return f"{ITEM_LISTED.format(key='i.key')}, 0 AS open, '[]'::json AS steps", tables
    listed = ITEM_LISTED.format(key="coalesce(i.key, s.key)")
    stepped = f"LEFT JOIN scrapy_resume.stepped AS s ON {STEPPED_OF_ITEM}"
    return f"{listed}, {STEPPED_LISTED}", f"{tables} {stepped}"


def has_steps(connection: Connection[Any]) -> bool:
    """Whether the database has tables of steps."""
    return bool(connection.execute(READS["has_steps"]).fetchall()[0][0])


def streamed(
    connection: Connection[Any], statement: str, values: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A server-side cursor: the rows are never here all at once."""
    with connection.cursor(name="rows", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(statement, values)
        yield from cursor
