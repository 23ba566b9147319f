"""Opens steps of items in a database again, or gives them up, whether the job is crawled or not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import SteeredSteps, StepSelection
from scrapy_resume.store.postgres.step_filters import PLACES
from scrapy_resume.store.postgres.steps import STEPS, PostgresSteps
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction import step_steering
from scrapy_resume.store.transaction.step_filters import step_condition
from scrapy_resume.store.transaction.units import settle_units


def steer_steps(
    tables: PostgresTables, selection: StepSelection, to: StepState, *, dry_run: bool = False
) -> SteeredSteps:
    """Change the selected steps, within the current transaction, which holds the job; see
    ``Store.steer_steps``."""
    steering = PostgresStepSteering(tables)
    if dry_run:
        return step_steering.count_steered(steering, selection, to)
    # Portions of items follow one another, and keys are locked before items.
    tables.execute(STEPS["lock_all_keys"])
    done = step_steering.steer_steps(steering, tables, selection, to, tables.now)
    settle_units(tables, tables.now)
    return done


class PostgresStepSteering:
    """See ``SteeringTables``."""

    def __init__(self, tables: PostgresTables) -> None:
        self._tables = tables

    @property
    def steps(self) -> PostgresSteps:
        """The statements about steps."""
        return self._tables.steps

    def find(self, selection: StepSelection, after: int, count: int) -> list[int]:
        """The first items above an id of which the step is selected."""
        where, values = step_condition(selection, PLACES)
        if selection.is_consumed:
            where += " AND s.payload IS NOT NULL"
        statement = (
            "SELECT t.item FROM scrapy_resume.step AS t"
            " JOIN scrapy_resume.stepped AS s ON s.job = t.job AND s.id = t.item"
            f" WHERE t.job = %(job)s AND {where}"
            " AND t.item > %(after)s ORDER BY t.item LIMIT %(count)s"
        )
        found = self._tables.execute(statement, **values, after=after, count=count)
        return [item for (item,) in found]

    def count_consumed(self, selection: StepSelection) -> int:
        """How many are left alone, since the step's fields were consumed."""
        where, values = step_condition(selection, PLACES)
        statement = (
            "SELECT count(*) FROM scrapy_resume.step AS t"
            " JOIN scrapy_resume.stepped AS s ON s.job = t.job AND s.id = t.item"
            f" WHERE t.job = %(job)s AND {where} AND s.payload IS NULL"
        )
        return int(self._tables.execute(statement, **values).fetchall()[0][0])

    def steer_steps(self, rows: Sequence[tuple[int, str | None, int, int]], crash: str) -> None:
        """Change the states of steps, as (state, error, item, kind)."""
        names = ("state", "error", "item", "kind")
        given = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows]).decode()
        ids = [item for _, _, item, _ in rows]
        self._tables.execute(STEPS["steer_steps"], rows=given, ids=ids, crash=crash)

    def count_job(self, opened: int) -> None:
        """So many steps are open that were not."""
        self._tables.execute(STEPS["count_steered"], opened=opened)
