"""The statements about steps of items that a backend offers to a transaction, and their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import astuple

from scrapy_resume.model import StepCounts, StepState

MOST_KINDS = 4096
"""Steps of different names that a job can have."""

MISSING = "MissingField"
"""The error of a step that is skipped since its item lacks a field that it needs."""


def mark_of(item: int, kind: int) -> int:
    """What a step is called among the rows that run: below 0, and no request is."""
    return -(item * MOST_KINDS + kind)


class Stepped(NamedTuple):
    """An item that has steps."""

    id: int
    version: int
    request: int
    occurrence: int
    key: str
    updates: int
    """1: the key is one of ``RESUME_ITEM_KEY``."""
    open: int
    shown: int
    """1: a version of it is visible."""


class StepRow(NamedTuple):
    """A step."""

    item: int
    kind: int
    state: int
    run: int
    not_before: float
    attempts: int
    crashes: int
    suspect: int
    error: str | None
    message: str | None
    version: str | None
    inputs: str | None
    gave: str | None
    """JSON."""


class LeasedColumns(NamedTuple):
    """A step that was leased."""

    item: int
    kind: int
    attempts: int
    crashes: int
    version: str | None
    inputs: str | None
    gave: str | None
    """JSON."""
    error: str | None
    message: str | None


class LeasedItem(NamedTuple):
    """What a step needs to know of its item."""

    id: int
    version: int
    key: str
    shown: int
    payload: str | None
    """``None``: neither an open version nor a visible one is there."""
    earlier: str | None
    """The visible version, if the payload is that of a newer one."""
    url: str


class AttemptEnd(NamedTuple):
    """The columns of an attempt that has ended."""

    state: int
    not_before: float
    attempts: int
    error: str | None
    error_message: str | None
    item: int
    kind: int
    version: str | None = None
    inputs: str | None = None
    gave: str | None = None
    """JSON; ``None``: it gave nothing, and what an earlier one gave stays."""


class StepChange(NamedTuple):
    """The columns of a step whose state changes without an attempt, or that is new."""

    item: int
    kind: int
    state: int
    error: str | None
    error_message: str | None


class StepEnd(NamedTuple):
    """What a recovery makes of a step, which is pending then."""

    attempts: int
    crashes: int
    suspect: int
    error: str | None
    error_message: str | None
    item: int
    kind: int


class KindTally(Struct):
    """The steps of one kind: columns of ``step_tally``, or by how much they change."""

    ready: int = 0
    delayed: int = 0
    suspect: int = 0
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    parked: int = 0
    skipped: int = 0

    def move(self, step: int, state: int, not_before: float = 0.0, suspect: int = 0) -> None:
        """``step`` more of them are in that state."""
        if state != StepState.pending:
            name = StepState(state).name
        elif not_before > 0:
            name = "delayed"
        else:
            name = "suspect" if suspect else "ready"
        setattr(self, name, getattr(self, name) + step)

    def plus(self, change: KindTally) -> KindTally:
        """The tally after a change."""
        return KindTally(*(a + b for a, b in zip(astuple(self), astuple(change), strict=True)))

    def counts(self) -> StepCounts:
        """As people see them."""
        return StepCounts(
            pending=self.ready + self.delayed + self.suspect + self.waiting,
            running=self.running,
            done=self.done,
            failed=self.failed,
            parked=self.parked,
            skipped=self.skipped,
        )


class DayRow(NamedTuple):
    """What a transaction adds to a day of a kind."""

    day: int
    kind: int
    attempts: int
    retries: int
    done: int
    failed: int
    skipped: int


class Uses(NamedTuple):
    """Attempts that count for a rate limit."""

    counted: int
    until: float
    """When the first of them counts no more; 0: unknown, it has not ended."""


class StepTables(Protocol):
    """Every method runs within the current transaction. Items are given and returned by id."""

    # Names and counters

    def find_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the steps of these names that the job has had."""

    def add_kinds(self, names: Sequence[str]) -> dict[str, int]:
        """Add steps; their ids, by name."""

    def kinds(self) -> dict[int, str]:
        """All steps that the job has had: names by id."""

    def tally(self) -> dict[int, KindTally]:
        """The steps of the job by state, by kind."""

    def change_tally(self, changes: Mapping[int, KindTally]) -> None:
        """By how much they change."""

    def change_days(self, rows: Sequence[DayRow]) -> None:
        """Add to the days."""

    # Items

    def new_ids(self, count: int) -> Sequence[int]:
        """Ids for items with steps, never used before."""

    def add_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """Insert items with their payloads, and their steps."""

    def items_of_requests(self, requests: Sequence[int]) -> list[Stepped]:
        """The items with steps that these requests have given; no other worker changes them."""

    def items_of_keys(self, keys: Sequence[str]) -> list[Stepped]:
        """Those with these keys of RESUME_ITEM_KEY; no other worker changes them."""

    def items(self, items: Sequence[int]) -> list[Stepped]:
        """Those of these items that exist; no other worker changes them."""

    def steps_of(self, items: Sequence[int]) -> list[StepRow]:
        """The steps of items, in order of items and kinds."""

    def replace_items(
        self, items: Sequence[tuple[Stepped, str | None]], steps: Sequence[StepChange]
    ) -> None:
        """New versions of items with their payloads; of their steps all that is not listed ends."""

    def keep_items(self, items: Sequence[tuple[Stepped, bool, str | None]]) -> None:
        """Write ``open`` and ``shown``; and the payload, if the flag is true (``None``: that of
        the visible item)."""

    def drop_items(self, items: Sequence[int]) -> None:
        """Delete items with their steps."""

    # What is visible

    def open_payload(self, item: int) -> str | None:
        """The payload of an item as its steps left it; ``None``: it is that of the visible one."""

    def drop_shown(self, items: Sequence[Stepped]) -> Counter[int]:
        """Delete the visible versions of items, if the same execution of a page or an earlier one
        has given them; how many there were of which request. Followers hear of it."""

    def drop_visible(self, request: int, occurrences: Sequence[int], keys: Sequence[str]) -> int:
        """Delete the visible items of a request, but for these: without a key by occurrence, others
        by key; how many. Followers hear of it."""

    # Steps

    def end_attempts(self, ends: Sequence[AttemptEnd], now: float) -> None:
        """Attempts have ended."""

    def change_steps(self, changes: Sequence[StepChange], now: float) -> None:
        """Their states change without an attempt."""

    def release_steps(self, rows: Sequence[tuple[int, float, int, int]]) -> None:
        """running → pending, as (attempts, not before, item, kind)."""

    def lease_steps(self, kind: int, count: int) -> list[LeasedColumns]:
        """Lease the first steps of a kind that can run; none of an item of which another worker
        runs a step."""

    def lease_suspect(self) -> LeasedColumns | None:
        """Lease the suspect that was found first."""

    def leased_items(self, items: Sequence[int]) -> dict[int, LeasedItem]:
        """What leased steps need to know of their items."""

    def due_steps(self, now: float, count: int) -> list[tuple[int, int, int]]:
        """Delayed steps whose time has come, as (item, kind, suspect)."""

    def end_delays(self, steps: Iterable[tuple[int, int]]) -> None:
        """They can run."""

    def next_due(self) -> float:
        """When the first delayed step is due; 0: none is delayed."""

    # Limits

    def hold_limits(self, kind: int) -> bool:
        """Until the transaction ends no other worker leases steps of this kind; false: another one
        is leasing some."""

    def uses(self, kind: int, now: float) -> Uses:
        """The attempts that count for the kind's rate limit."""

    def add_uses(self, kind: int, items: Sequence[int], seconds: float) -> None:
        """Attempts begin, which count until ``seconds`` after their end."""

    def end_uses(self, steps: Iterable[tuple[int, int]], now: float) -> None:
        """Attempts of steps, as (item, kind), have ended, if they count for a limit."""

    # Recovery

    def orphaned_steps(self) -> list[StepRow]:
        """The steps that the run which has ended still holds."""

    def recover_steps(self, ends: Sequence[StepEnd]) -> None:
        """running → pending."""
