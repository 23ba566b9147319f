"""Opens steps of items in a file again, or gives them up, by its owner or while there is none."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import SteeredSteps, StepSelection
from scrapy_resume.store.sqlite.statements import Statements
from scrapy_resume.store.sqlite.step_filters import PLACES
from scrapy_resume.store.sqlite.steps import STEPS
from scrapy_resume.store.sqlite.tables import SqliteTables
from scrapy_resume.store.transaction import step_steering
from scrapy_resume.store.transaction.step_filters import step_condition
from scrapy_resume.store.transaction.units import settle_units


def steer_steps(
    connection: sqlite3.Connection,
    selection: StepSelection,
    to: StepState,
    *,
    dry_run: bool = False,
) -> SteeredSteps:
    """Change the selected steps, within the current transaction; see ``Store.steer_steps``."""
    now = time.time()
    tables = SqliteTables()
    steering = SqliteStepSteering(tables, now)
    steering.use(connection)
    if dry_run:
        return step_steering.count_steered(steering, selection, to)
    tables.begin(connection)
    done = step_steering.steer_steps(steering, tables, selection, to, now)
    settle_units(tables, now)
    return done


class SqliteStepSteering(Statements):
    """See ``SteeringTables``."""

    def __init__(self, tables: SqliteTables, now: float) -> None:
        self.steps = tables.steps
        self._now = now

    def find(self, selection: StepSelection, after: int, count: int) -> list[int]:
        """The first items above an id of which the step is selected."""
        where, values = step_condition(selection, PLACES)
        if selection.is_consumed:
            where += " AND s.payload IS NOT NULL"
        statement = (
            f"SELECT t.item FROM step AS t CROSS JOIN stepped AS s WHERE s.id = t.item AND {where}"
            " AND t.item > :after ORDER BY t.item LIMIT :count"
        )
        bounds = {"after": after, "count": count}
        return [item for (item,) in self._run(statement, {**values, **bounds})]

    def count_consumed(self, selection: StepSelection) -> int:
        """How many are left alone, since the step's fields were consumed."""
        where, values = step_condition(selection, PLACES)
        statement = (
            "SELECT count(*) FROM step AS t CROSS JOIN stepped AS s"
            f" WHERE s.id = t.item AND {where} AND s.payload IS NULL"
        )
        return self._number(statement, values)

    def steer_steps(self, rows: Sequence[tuple[int, str | None, int, int]], crash: str) -> None:
        """Change the states of steps, as (state, error, item, kind)."""
        self._run_many(
            STEPS["steer_step"],
            [(state, crash, error, crash, item, kind) for state, error, item, kind in rows],
        )

    def count_job(self, opened: int) -> None:
        """So many steps are open that were not."""
        self._run(STEPS["count_steered"], {"opened": opened, "now": self._now})
