"""The statements about steps of items in PostgreSQL, for one run of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from scrapy_resume.store.postgres.statements import COMMIT, Statements
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

STEPS: Final = load_queries("postgres", "steps.sql")

ID_STEP: Final = 4096
"""The ids that a run gives to items are congruent to its number modulo this, so that no two of so
many runs choose the same."""

LOOKED_AT_MORE: Final = 32
"""So many ready steps are looked at beyond those that are wanted: other workers may be about to
lease the first ones."""

_encode: Final = msgspec.json.Encoder().encode


class PostgresSteps(Statements):
    """See ``StepTables``."""

    def __init__(self, job: int, run: int) -> None:
        super().__init__(job, run)
        self._next_id: int | None = None
        """Of an item of this run; ``None``: it was not looked up."""

    # Names and counters

    def find_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the steps of these names that the job has had."""
        return dict(self.execute(STEPS["find_kinds"], names=list(names)).fetchall())

    def add_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """Add steps; their ids, by name."""
        self.execute(STEPS["lock_kinds"])
        known = self.find_kinds(names)
        new = [name for name in names if name not in known]
        if new:
            self.execute(STEPS["add_kinds"], names=new)
        return self.find_kinds(names)

    def kinds(self) -> dict[int, str]:
        """All steps that the job has had: names by id."""
        return dict(self.execute(STEPS["kinds"]).fetchall())

    def tally(self) -> dict[int, KindTally]:
        """The steps of the job by state, by kind."""
        return {kind: KindTally(*counts) for kind, *counts in self.execute(STEPS["tally"])}

    def change_tally(self, changes: Mapping[int, KindTally]) -> None:
        """By how much they change, in the run's part of it."""
        rows = [{"kind": kind, **asdict(change)} for kind, change in changes.items()]
        self.execute(STEPS["change_tally"], rows=_json(rows))

    def change_days(self, rows: Sequence[DayRow]) -> None:
        """Add to the days."""
        self._write("change_days", rows)

    # Items

    def new_ids(self, count: int) -> Sequence[int]:
        """Ids for items with steps, never used before. It does not matter whether the transaction
        is committed."""
        if self._next_id is None:
            ((last,),) = self.execute(STEPS["last_id"]).fetchall()
            self._next_id = last + 1 + (self._run - last - 1) % ID_STEP
        first = self._next_id
        self._next_id += count * ID_STEP
        return range(first, self._next_id, ID_STEP)

    def add_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """Insert items with their payloads, and their steps."""
        self.execute(STEPS["add_items"], rows=_with_payloads(items))
        self._write("add_steps", steps)

    def items_of_requests(self, requests: Sequence[int]) -> list[Stepped]:
        """The items with steps that these requests have given; no other worker changes them."""
        self.execute(STEPS["lock_keys_of_requests"], ids=list(requests))
        return self._items("items_of_requests", ids=list(requests))

    def items_of_keys(self, keys: Sequence[str]) -> list[Stepped]:
        """Those with these keys of RESUME_ITEM_KEY; no other worker changes them."""
        self.execute(COMMIT["lock_item_keys"], keys=list(keys))
        return self._items("items_of_keys", keys=list(keys))

    def items(self, items: Sequence[int]) -> list[Stepped]:
        """Those of these items that exist; no other worker changes them."""
        self.execute(STEPS["lock_keys_of_items"], ids=list(items))
        return self._items("items", ids=list(items))

    def _items(self, statement: str, **values: Any) -> list[Stepped]:
        return [Stepped(*row) for row in self.execute(STEPS[statement], **values)]

    def steps_of(self, items: Sequence[int]) -> list[StepRow]:
        """The steps of items, in order of items and kinds."""
        return [StepRow(*row) for row in self.execute(STEPS["steps_of"], ids=list(items))]

    def replace_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """New versions of items with their payloads; of their steps all that is not listed ends."""
        ids = [item.id for item, _ in items]
        self.execute(STEPS["replace_items"], rows=_with_payloads(items), ids=ids)
        rows = _json([step._asdict() for step in steps])
        self.execute(STEPS["drop_other_steps"], rows=rows, ids=ids)
        self.execute(STEPS["replace_steps"], rows=rows)

    def keep_items(self, items: Sequence[tuple[Stepped, bool, str | None]]) -> None:
        """Write ``open`` and ``shown``, and the payload if the flag is true. Of several changes of
        an item, the last one counts, and the last payload."""
        rows: dict[int, dict[str, Any]] = {}
        for item, changed, payload in items:
            row = rows.setdefault(item.id, {"id": item.id, "changed": False, "payload": None})
            row |= {"open": item.open, "shown": item.shown}
            if changed:
                row |= {"changed": True, "payload": payload}
        self.execute(STEPS["keep_items"], rows=_json(list(rows.values())), ids=list(rows))

    def drop_items(self, items: Sequence[int]) -> None:
        """Delete items with their steps."""
        self.execute(STEPS["drop_items"], ids=list(items))

    # What is visible

    def open_payload(self, item: int) -> str | None:
        """The payload of an item as its steps left it; ``None``: it is that of the visible one."""
        row = self.execute(STEPS["open_payload"], id=item).fetchone()
        return None if row is None else row[0]

    def drop_shown(self, items: Sequence[Stepped]) -> Counter[int]:
        """Delete the visible versions of items; how many of which request."""
        rows = [
            {
                "request": item.request,
                "occurrence": item.occurrence,
                "key": item.key if item.updates else None,
            }
            for item in items
        ]
        return Counter(dict(self.execute(STEPS["drop_shown"], rows=_json(rows)).fetchall()))

    def drop_visible(self, request: int, occurrences: Sequence[int], keys: Sequence[str]) -> int:
        """Delete the visible items of a request, but for these; how many."""
        values = {"request": request, "occurrences": list(occurrences), "keys": list(keys)}
        return int(self.execute(STEPS["drop_visible"], **values).fetchall()[0][0])

    # Steps

    def end_attempts(self, ends: Sequence[AttemptEnd], now: float) -> None:
        """Attempts have ended."""
        self._write("end_attempts", ends)

    def change_steps(self, changes: Sequence[StepChange], now: float) -> None:
        """Their states change without an attempt. Of several changes of a step, the last counts."""
        last = {(change.item, change.kind): change for change in changes}
        self._write("change_steps", list(last.values()))

    def release_steps(self, rows: Sequence[tuple[int, float, int, int]]) -> None:
        """running → pending, as (attempts, not before, item, kind)."""
        names = ("attempts", "not_before", "item", "kind")
        values = [dict(zip(names, row, strict=True)) for row in rows]
        ids = [item for _, _, item, _ in rows]
        self.execute(STEPS["release_steps"], rows=_json(values), ids=ids)

    def _write(self, statement: str, rows: Sequence[Any]) -> None:
        """Run a statement about rows, which may name items."""
        ids = [row.item for row in rows] if rows and hasattr(rows[0], "item") else []
        self.execute(STEPS[statement], rows=_json([row._asdict() for row in rows]), ids=ids)

    def lease_steps(self, kind: int, count: int) -> list[LeasedColumns]:
        """Lease the first steps of a kind that can run; none of an item of which another worker
        runs a step."""
        values = {"kind": kind, "count": count, "looked_at": count + LOOKED_AT_MORE}
        held = [item for (item,) in self.execute(STEPS["hold_ready"], **values)]
        if not held:
            return []
        rows = self.execute(STEPS["take_steps"], kind=kind, ids=held)
        return sorted(LeasedColumns(*row) for row in rows)

    def lease_suspect(self) -> LeasedColumns | None:
        """Lease the suspect that was found first, of those whose items no other worker has."""
        held = self.execute(STEPS["hold_suspects"], looked_at=LOOKED_AT_MORE).fetchone()
        if held is None:
            return None
        row = self.execute(STEPS["take_suspect"], id=held[0]).fetchone()
        return None if row is None else LeasedColumns(*row)

    def leased_items(self, items: Sequence[int]) -> dict[int, LeasedItem]:
        """What leased steps need to know of their items."""
        rows = self.execute(STEPS["leased_items"], ids=list(items))
        return {row[0]: LeasedItem(*row) for row in rows}

    def due_steps(self, now: float, count: int) -> list[tuple[int, int, int]]:
        """Delayed steps whose time has come, as (item, kind, suspect)."""
        return self.execute(STEPS["due_steps"], count=count).fetchall()

    def end_delays(self, steps: Iterable[tuple[int, int]]) -> None:
        """They can run."""
        self.execute(STEPS["end_delays"], **_named(steps))

    def next_due(self) -> float:
        """When the first delayed step is due; 0: none is delayed."""
        return float(self.execute(STEPS["next_due"]).fetchall()[0][0])

    # Limits

    def hold_limits(self, kind: int) -> bool:
        """Until the transaction ends no other worker leases steps of this kind; false: another one
        is leasing some."""
        return bool(self.execute(STEPS["hold_limits"], kind=kind).fetchall()[0][0])

    def uses(self, kind: int, now: float) -> Uses:
        """The attempts that count for the kind's rate limit."""
        self.execute(STEPS["drop_uses"], kind=kind)
        ((count, until),) = self.execute(STEPS["count_uses"], kind=kind).fetchall()
        return Uses(count, until)

    def add_uses(self, kind: int, items: Sequence[int], seconds: float) -> None:
        """Attempts begin, which count until ``seconds`` after their end."""
        self.execute(STEPS["add_uses"], kind=kind, ids=list(items), seconds=seconds)

    def end_uses(self, steps: Iterable[tuple[int, int]], now: float) -> None:
        """Attempts of steps, as (item, kind), have ended, if they count for a limit."""
        self.execute(STEPS["end_uses"], **_named(steps))

    def bound_times(self) -> None:
        """The server's clock was set back: nothing waits, and no attempt counts, for longer than it
        was to."""
        self.execute(STEPS["bound_delays"])
        self.execute(STEPS["bound_uses"])

    # Recovery

    def orphaned_steps(self) -> list[StepRow]:
        """The steps that the run, which has ended, still holds; no other worker changes them."""
        if not self.execute(STEPS["hold_orphaned"]).fetchall():
            return []
        return [StepRow(*row) for row in self.execute(STEPS["orphaned_steps"])]

    def recover_steps(self, ends: Sequence[StepEnd]) -> None:
        """running → pending."""
        self._write("recover_steps", ends)


def _with_payloads(items: Sequence[tuple[Stepped, str | None]]) -> str:
    return _json([{**item._asdict(), "payload": payload} for item, payload in items])


def _named(steps: Iterable[tuple[int, int]]) -> dict[str, list[int]]:
    named = list(steps)
    return {"ids": [item for item, _ in named], "kinds": [kind for _, kind in named]}


def _json(rows: object) -> str:
    return _encode(rows).decode()
