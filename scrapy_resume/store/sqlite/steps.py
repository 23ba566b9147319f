"""The statements about steps of items in a job's file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import astuple

from scrapy_resume.store.sqlite.cursors import insert_many
from scrapy_resume.store.sqlite.statements import Statements
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.step_tables import (
    AttemptEnd,
    DayRow,
    KindTally,
    LeasedColumns,
    LeasedItem,
    StepChange,
    StepEnd,
    Stepped,
    StepRow,
    Uses,
)

STEPS: Final = load_queries("sqlite", "steps.sql")


class SqliteSteps(Statements):
    """See ``StepTables``. A job in a file has one run at a time."""

    def __init__(self) -> None:
        self.next_stepped = 1
        self.next_item = 1
        """Shared with the items: what is taken back has an id among theirs."""
        self.run = 0

    # Names and counters

    def find_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the steps of these names that the job has had."""
        return dict(self._run(STEPS["find_kinds"], (json.dumps(names),)).fetchall())

    def add_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """Add steps; their ids, by name."""
        return {name: self._number(STEPS["add_kind"], (name,)) for name in names}

    def kinds(self) -> dict[int, str]:
        """All steps that the job has had: names by id."""
        return dict(self._run(STEPS["kinds"]).fetchall())

    def tally(self) -> dict[int, KindTally]:
        """The steps of the job by state, by kind."""
        return {kind: KindTally(*counts) for kind, *counts in self._run(STEPS["tally"])}

    def change_tally(self, changes: Mapping[int, KindTally]) -> None:
        """By how much they change."""
        rows = [(kind, *astuple(change)) for kind, change in changes.items()]
        self._run_many(STEPS["change_tally"], rows)

    def change_days(self, rows: Sequence[DayRow]) -> None:
        """Add to the days."""
        self._run_many(STEPS["change_day"], rows)

    # Items

    def new_ids(self, count: int) -> Sequence[int]:
        """Ids for items with steps, never used before."""
        first = self.next_stepped
        self.next_stepped += count
        return range(first, self.next_stepped)

    def add_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """Insert items with their payloads, and their steps."""
        rows = [(*item, payload) for item, payload in items]
        insert_many(self._connection, STEPS["add_item"], rows)
        insert_many(self._connection, STEPS["add_step"], steps)

    def items_of_requests(self, requests: Sequence[int]) -> list[Stepped]:
        """The items with steps that these requests have given."""
        return self._items("items_of_requests", requests)

    def items_of_keys(self, keys: Sequence[str]) -> list[Stepped]:
        """Those with these keys of RESUME_ITEM_KEY."""
        return self._items("items_of_keys", keys)

    def items(self, items: Sequence[int]) -> list[Stepped]:
        """Those of these items that exist."""
        return self._items("items", items)

    def _items(self, statement: str, wanted: Sequence[object]) -> list[Stepped]:
        return [Stepped(*row) for row in self._run(STEPS[statement], (json.dumps(wanted),))]

    def steps_of(self, items: Sequence[int]) -> list[StepRow]:
        """The steps of items, in order of items and kinds."""
        cursor = self._run(STEPS["steps_of"], (json.dumps(sorted(items)),))
        return [StepRow(*row) for row in cursor]

    def replace_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """New versions of items with their payloads; of their steps all that is not listed ends."""
        rows = [(*item[1:], payload, item.id) for item, payload in items]
        self._run_many(STEPS["replace_item"], rows)
        listed = {(step.item, step.kind) for step in steps}
        had = self.steps_of([item.id for item, _ in items])
        ended = [(row.item, row.kind) for row in had if (row.item, row.kind) not in listed]
        self._run_many(STEPS["drop_step"], ended)
        self._run_many(STEPS["replace_step"], steps)

    def keep_items(self, items: Sequence[tuple[Stepped, bool, str | None]]) -> None:
        """Write ``open`` and ``shown``, and the payload if the flag is true."""
        rows = [
            (item.open, item.shown, changed, payload, item.id) for item, changed, payload in items
        ]
        self._run_many(STEPS["keep_item"], rows)

    def drop_items(self, items: Sequence[int]) -> None:
        """Delete items with their steps."""
        rows = [(item,) for item in items]
        self._run_many(STEPS["drop_steps"], rows)
        self._run_many(STEPS["drop_items"], rows)

    # What is visible

    def open_payload(self, item: int) -> str | None:
        """The payload of an item as its steps left it; ``None``: it is that of the visible one."""
        row = self._run(STEPS["open_payload"], (item,)).fetchone()
        return None if row is None else row[0]

    def drop_shown(self, items: Sequence[Stepped]) -> Counter[int]:
        """Delete the visible versions of items; how many of which request."""
        deleted: Counter[int] = Counter()
        for item in items:
            key = item.key if item.updates else None
            values = (item.request, item.occurrence, key)
            deleted[item.request] += self._drop(self._run(STEPS["find_shown"], values).fetchall())
        return deleted

    def drop_visible(self, request: int, occurrences: Sequence[int], keys: Sequence[str]) -> int:
        """Delete the visible items of a request, but for these; how many."""
        values = {
            "request": request,
            "occurrences": json.dumps(occurrences),
            "keys": json.dumps(keys),
        }
        return self._drop(self._run(STEPS["find_visible"], values).fetchall())

    def _drop(self, rows: Sequence[tuple[int, int, int, str | None]]) -> int:
        self._run_many(STEPS["drop_visible"], [(row[0],) for row in rows])
        self.take_back([row[1:] for row in rows])
        return len(rows)

    def take_back(self, rows: Sequence[tuple[int, int, str | None]]) -> None:
        """Note for followers that items, as (request, occurrence, key), were taken back."""
        first = self.next_item
        self.next_item += len(rows)
        numbered = [(number, *row) for number, row in enumerate(rows, first)]
        self._run_many(STEPS["take_back"], numbered)

    # Steps

    def end_attempts(self, ends: Sequence[AttemptEnd], now: float) -> None:
        """Attempts have ended."""
        gave = [
            (*end[:5], end.version, end.inputs, end.gave, now, now, end.item, end.kind)
            for end in ends
            if end.gave is not None
        ]
        nothing = [(*end[:5], now, now, end.item, end.kind) for end in ends if end.gave is None]
        self._run_many(STEPS["end_attempt"], gave)
        self._run_many(STEPS["end_unsuccessful"], nothing)

    def change_steps(self, changes: Sequence[StepChange], now: float) -> None:
        """Their states change without an attempt."""
        rows = [
            (change.state, change.error, change.error_message, now, change.item, change.kind)
            for change in changes
        ]
        self._run_many(STEPS["change_step"], rows)

    def release_steps(self, rows: Sequence[tuple[int, float, int, int]]) -> None:
        """running → pending, as (attempts, not before, item, kind)."""
        self._run_many(STEPS["release_step"], rows)

    def lease_steps(self, kind: int, count: int) -> list[LeasedColumns]:
        """Lease the first steps of a kind that can run."""
        found = self._run(STEPS["lease_steps"], (kind, count)).fetchall()
        rows = [LeasedColumns(*row) for row in found]
        self._run_many(STEPS["take_step"], [(self.run, row.item, row.kind) for row in rows])
        return rows

    def lease_suspect(self) -> LeasedColumns | None:
        """Lease the suspect that was found first."""
        found = self._run(STEPS["lease_suspect"]).fetchone()
        if found is None:
            return None
        row = LeasedColumns(*found)
        self._run(STEPS["take_step"], (self.run, row.item, row.kind))
        return row

    def leased_items(self, items: Sequence[int]) -> dict[int, LeasedItem]:
        """What leased steps need to know of their items."""
        rows = self._run(STEPS["leased_items"], (json.dumps(items),))
        return {row[0]: LeasedItem(*row) for row in rows}

    def due_steps(self, now: float, count: int) -> list[tuple[int, int, int]]:
        """Delayed steps whose time has come, as (item, kind, suspect)."""
        return self._run(STEPS["due_steps"], (now, count)).fetchall()

    def end_delays(self, steps: Iterable[tuple[int, int]]) -> None:
        """They can run."""
        self._run_many(STEPS["end_delay"], list(steps))

    def next_due(self) -> float:
        """When the first delayed step is due; 0: none is delayed."""
        ((due,),) = self._run(STEPS["next_due"]).fetchall()
        return float(due)

    # Limits

    def hold_limits(self, kind: int) -> bool:
        """There are no other workers."""
        return True

    def uses(self, kind: int, now: float) -> Uses:
        """The attempts that count for the kind's rate limit."""
        self._run(STEPS["drop_uses"], (kind, now))
        ((count, until),) = self._run(STEPS["count_uses"], (kind,)).fetchall()
        return Uses(count, until)

    def add_uses(self, kind: int, items: Sequence[int], seconds: float) -> None:
        """Attempts begin, which count until ``seconds`` after their end."""
        self._run_many(STEPS["add_use"], [(kind, item, seconds) for item in items])

    def end_uses(self, steps: Iterable[tuple[int, int]], now: float) -> None:
        """Attempts of steps have ended, if they count for a limit."""
        self._run_many(STEPS["end_use"], [(now, kind, item) for item, kind in steps])

    def shift_times(self, leap_seconds: float) -> None:
        """The clock was set: what waits follows it."""
        values = {"leap": leap_seconds}
        self._run(STEPS["shift_delays"], values)
        self._run(STEPS["shift_uses"], values)

    def bound_times(self, now: float) -> None:
        """Nothing waits for longer than it was to wait, whatever clock it was stored by."""
        values = {"now": now}
        self._run(STEPS["bound_delays"], values)
        self._run(STEPS["bound_uses"], values)

    # Recovery

    def orphaned_steps(self) -> list[StepRow]:
        """The steps that the run which has ended still holds."""
        return [StepRow(*row) for row in self._run(STEPS["orphaned_steps"])]

    def recover_steps(self, ends: Sequence[StepEnd]) -> None:
        """running → pending."""
        self._run_many(STEPS["recover_step"], ends)
