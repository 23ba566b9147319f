"""Skips requests of a job in a database for good, or undoes that, whether it is crawled or not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from scrapy_resume.model import Selection, SkipRule
from scrapy_resume.store.postgres.selection import selected
from scrapy_resume.store.postgres.skip_tables import PostgresSkips
from scrapy_resume.store.postgres.steering import steer
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.skips import (
    keep_settings,
    leased_ones,
    skip,
    sweep,
    unskip,
)


def change_skips(tables: PostgresTables, selection: Selection, *, undo: bool) -> int:
    """Skip the selected requests, or undo that, within the current transaction; how many."""
    change = unskip if undo else skip
    return change(PostgresSkips(tables), selection, partial(_find, tables), partial(steer, tables))


def keep_skips(tables: PostgresTables, wanted: Sequence[SkipRule]) -> None:
    """What RESUME_SKIP says, at an opening: what is pending is skipped if it is to be."""
    skips = PostgresSkips(tables)
    keep_settings(skips, wanted)
    if skips.version():
        sweep(skips, partial(steer, tables))


def sweep_skips(tables: PostgresTables) -> tuple[int, set[int]]:
    """Skip what is pending and to be skipped, within the current transaction.

    Returns how many they were, and the leased rows that are to be skipped too.
    """
    skips = PostgresSkips(tables)
    return sweep(skips, partial(steer, tables)), leased_ones(skips, partial(_find, tables))


def _find(tables: PostgresTables, selection: Selection, after: int, count: int) -> list[int]:
    where, values = selected(selection)
    statement = (
        f"SELECT v.id FROM scrapy_resume.requests AS v WHERE {where} AND v.id > %(after)s"
        " ORDER BY v.id LIMIT %(count)s"
    )
    return [row for (row,) in tables.execute(statement, **values, after=after, count=count)]
