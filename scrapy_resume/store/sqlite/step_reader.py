"""The read side of the items of a job's file, and of their steps."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from scrapy_resume.model import JobKey, Selection, StepCounts
from scrapy_resume.store.contract import StepSelection
from scrapy_resume.store.sqlite.cursors import as_dicts
from scrapy_resume.store.sqlite.selection import SQLITE, add_functions, selected
from scrapy_resume.store.sqlite.step_filters import PLACES, VISIBLE
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import (
    EVERYTHING,
    ITEM_LISTED,
    lacking,
    of_requests,
    words,
)
from scrapy_resume.store.transaction.step_filters import TROUBLED_STEPS, step_condition

READS: Final = load_queries("sqlite", "step_reads.sql")

NO_LIMIT: Final = -1

_STEPS: Final = (
    "(SELECT json_group_array(json_object('step', v.step, 'state', v.state,"
    " 'attempts', v.attempts, 'error', v.error, 'error_message', v.error_message,"
    " 'not_before', v.not_before, 'first_at', v.first_at, 'last_at', v.last_at,"
    " 'version', v.version)) FROM steps AS v WHERE v.item = s.id)"
)

STEPPED_LISTED: Final = f"s.open, {_STEPS} AS steps"
"""What is listed of ``s``, the item with steps."""

STEPPED_OF_ITEM: Final = (
    "CASE WHEN i.key IS NULL THEN (SELECT w.id FROM stepped AS w"
    " WHERE w.request = i.request AND w.occurrence = i.occurrence AND w.updates = 0)"
    " ELSE (SELECT w.id FROM stepped AS w WHERE w.key = i.key AND w.updates = 1) END"
)
"""The id of the item with steps that the visible item ``i`` is of."""


class SqliteStepReader:
    """See ``StepReader``, and ``Reader.item_records``."""

    def _reading_job(self, key: JobKey) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only connection to the job's file."""
        raise NotImplementedError

    def step_counts(self, key: JobKey) -> dict[str, StepCounts]:
        """The steps by name and state."""
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return {}
            rows = connection.execute(READS["counts"]).fetchall()
        return {name: StepCounts(*counts) for name, *counts in rows}

    def step_failures(self, key: JobKey, examples: int, bound: int) -> list[dict[str, Any]]:
        """The failed and parked steps by name and error; see ``StepReader``."""
        groups: list[dict[str, Any]] = []
        with self._reading_job(key) as connection:
            kinds = connection.execute(READS["kinds"]).fetchall() if has_steps(connection) else ()
            for kind, name in kinds:
                values = {"kind": kind, "step": name, "examples": examples, "bound": bound}
                groups += as_dicts(connection.execute(READS["failures"], values))
        for group in groups:
            group["examples"] = json.loads(group["examples"])
        return sorted(groups, key=lambda group: -group["count"])

    def step_days(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts by day and step."""
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return []
            return list(as_dicts(connection.execute(READS["days"])))

    def item_records(
        self, key: JobKey, selection: Selection = EVERYTHING
    ) -> Iterator[dict[str, Any]]:
        """The items of the selected requests; see ``Reader.item_records``."""
        source, where, values = selected(of_requests(selection))
        lacking_one = lacking(selection, SQLITE)
        values["missing"] = json.dumps(words(selection.missing))
        values["count"] = NO_LIMIT if selection.limit is None else selection.limit
        chosen = "l.id = i.id"
        if not of_requests(selection).is_everything or selection.states:
            # The planner would read all requests for each item.
            chosen += f" AND i.request IN (SELECT v.id FROM {source} WHERE {where})"
        with self._reading_job(key) as connection:
            add_functions(connection)
            listed, items = listed_items(connection)
            statement = (
                f"SELECT {listed} FROM {items}"
                f" WHERE {chosen} AND {lacking_one} ORDER BY i.id LIMIT :count"
            )
            yield from with_steps(as_dicts(connection.execute(statement, values)))

    def stepped_items(
        self, key: JobKey, steps: StepSelection, selection: Selection = EVERYTHING
    ) -> Iterator[dict[str, Any]]:
        """The items that have one of the selected steps; see ``StepReader``."""
        where, values = step_condition(steps, PLACES)
        # What is found by an index goes first; of other steps there may be as many as of items.
        few = steps.keys is not None or (steps.states and TROUBLED_STEPS.issuperset(steps.states))
        condition = (
            f"s.id IN (SELECT t.item FROM step AS t WHERE {where})"
            if few and not steps.missing
            else f"EXISTS (SELECT 1 FROM step AS t WHERE t.item = s.id AND {where})"
        )
        statement = (
            "SELECT coalesce(i.payload, s.payload) AS payload,"
            " (SELECT v.url FROM steps AS v WHERE v.item = s.id LIMIT 1) AS url,"
            " (SELECT v.unit FROM steps AS v WHERE v.item = s.id LIMIT 1) AS unit, s.key,"
            " (SELECT l.stored_at FROM items AS l WHERE l.id = i.id) AS stored_at,"
            f" {STEPPED_LISTED}"
            f" FROM stepped AS s LEFT JOIN item AS i ON i.id = {VISIBLE} WHERE {condition}"
        )
        requests = of_requests(selection)
        if not requests.is_everything or requests.states:
            source, chosen, more = selected(requests)
            statement += f" AND s.request IN (SELECT v.id FROM {source} WHERE {chosen})"
            values = {**more, **values}
        values["count"] = NO_LIMIT if steps.limit is None else steps.limit
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return
            add_functions(connection)
            rows = connection.execute(f"{statement} ORDER BY s.id LIMIT :count", values)
            yield from with_steps(as_dicts(rows))

    def count_steps(self, key: JobKey, steps: StepSelection) -> int:
        """How many steps are selected."""
        where, values = step_condition(steps, PLACES)
        statement = (
            "SELECT count(*) FROM step AS t CROSS JOIN stepped AS s"
            f" WHERE s.id = t.item AND {where}"
        )
        return self._number(key, statement, values)

    def hidden_items(self, key: JobKey) -> int:
        """How many items are not visible yet."""
        return self._number(key, READS["hidden_items"], {})

    def _number(self, key: JobKey, statement: str, values: dict[str, Any]) -> int:
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return 0
            ((count,),) = connection.execute(statement, values).fetchall()
        return int(count)

    def known_item_keys(self, key: JobKey, keys: Collection[str]) -> set[str]:
        """Those of these keys that items with steps have."""
        return set(self._keys(key, "known_keys", json.dumps(list(keys))))

    def item_keys(self, key: JobKey, count: int) -> list[str]:
        """The keys of the last items with steps."""
        return self._keys(key, "last_keys", count)

    def _keys(self, key: JobKey, name: str, value: object) -> list[str]:
        with self._reading_job(key) as connection:
            if not has_steps(connection):
                return []
            return [found for (found,) in connection.execute(READS[name], (value,))]


def has_steps(connection: sqlite3.Connection) -> bool:
    """Whether the file has tables of steps."""
    return bool(connection.execute(READS["has_steps"]).fetchall()[0][0])


def listed_items(connection: sqlite3.Connection) -> tuple[str, str]:
    """What is listed of visible items, and from which tables; ``i`` is the item, and ``l.id`` is to
    be its id."""
    if not has_steps(connection):
        listed = ITEM_LISTED.format(key="i.key")
        return f"{listed}, 0 AS open, '[]' AS steps", "item AS i CROSS JOIN items AS l"
    listed = ITEM_LISTED.format(key="coalesce(i.key, s.key)")
    stepped = f"LEFT JOIN stepped AS s ON s.id = {STEPPED_OF_ITEM}"
    return f"{listed}, {STEPPED_LISTED}", f"item AS i CROSS JOIN items AS l {stepped}"


def with_steps(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Items, with their steps as a list."""
    for row in rows:
        row["open"] = row["open"] or 0
        row["steps"] = json.loads(row["steps"])
        yield row
