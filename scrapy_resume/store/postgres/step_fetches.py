"""Downloads of steps that workers do for one another: each is done by the owner of its slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scrapy_resume.store.contract import FetchToDo
from scrapy_resume.store.transaction.queries import load_queries

if TYPE_CHECKING:
    from scrapy_resume.store.contract import StepAnswer, StepReport
    from scrapy_resume.store.postgres.tables import PostgresTables

FETCHES: Final = load_queries("postgres", "fetches.sql")

MOST_AT_ONCE: Final = 64
"""Downloads that a commit takes at most."""


def exchange_fetches(tables: PostgresTables, report: StepReport, answer: StepAnswer) -> None:
    """Note what the run wants and has done; take what it is to do, and what others have done for
    it. To be called after the run has given slots away."""
    if report.fetches_done:
        rows = [done._asdict() for done in report.fetches_done]
        named = {
            "runs": sorted({done.run for done in report.fetches_done}),
            "ids": [done.id for done in report.fetches_done],
        }
        tables.execute(FETCHES["end"], rows=_json(rows), **named)
    if report.fetches_given_up:
        tables.execute(FETCHES["give_up"], ids=report.fetches_given_up)
    if report.fetches_wanted:
        _want(tables, report)
    if report.fetches_awaited:
        unowned = {slot for (slot,) in tables.execute(FETCHES["unowned"])}
        if unowned:
            tables.leases.claim(unowned)
        answer.fetches_done = dict(tables.execute(FETCHES["answers"]).fetchall())
    taken = tables.execute(FETCHES["take"], count=MOST_AT_ONCE).fetchall()
    answer.fetches_to_do = sorted(FetchToDo(*row) for row in taken)


def _want(tables: PostgresTables, report: StepReport) -> None:
    keys = sorted({wanted.slot for wanted in report.fetches_wanted})
    slots = tables.find_slots(keys)
    if missing := [key for key in keys if key not in slots]:
        slots |= tables.add_slots(missing)
    rows = [
        {"id": wanted.id, "slot": slots[wanted.slot], "url": wanted.url, "request": wanted.request}
        for wanted in report.fetches_wanted
    ]
    tables.execute(FETCHES["want"], rows=_json(rows))


def leave_fetches(tables: PostgresTables) -> None:
    """A run has ended: what it has wanted is wanted no more, and others do what it was to do."""
    tables.execute(FETCHES["forget"])
    tables.execute(FETCHES["leave"])


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
