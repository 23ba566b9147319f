"""The invariants of a job: the words for what violates them. The checks are in ``verify.sql``;
``verify_steps.sql`` has those of steps of items, which a file of an older version does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

COUNTERS: Final = (
    "pending",
    "leased",
    "done",
    "failed",
    "parked",
    "ignored",
    "delayed",
    "items_stored",
)
"""The columns of the statements ``counted`` and ``there``."""

APART: Final = frozenset({"integrity", "counted", "there"})
"""Statements whose rows are not violations."""

WORDS: Final = {
    "slots": "the slot {0} counts {1} pending requests, and has {2}",
    "items": "{0} says that it gave {1} items, and has {2}",
    "orphans": "item {0} belongs to no request",
    "provisional": "the provisional item {0} is of a run that has ended",
    "identities": "{0} shares its identity with another request, or is not known by it",
    "aliases": "an identity belongs to request {0}, which is not there",
    "frontier": "{0} is open and not in the frontier, or in the frontier and not open",
    "troubles": "{0} has failed or is parked and is not listed so, or the other way round",
    "slotless": "{0} is of a slot that is not there",
    "numbers": "the next {0} is to be number {1}, but there is a number {2}",
    "held": "{0} is leased, but no live run can have leased it",
    "owners": "the slot {0} belongs to run {2}, which has ended",
    "open": "{0} is open, though the job is completed",
    "steps_counted": "the job counts {1} steps open, there are {2}",
    "step_tallies": "the step {0} counts ({1}) ready, delayed, suspect, waiting, running, done, "
    "failed, parked, skipped; there are ({2})",
    "steps_open": "the item {0} counts {1} open steps, and has {2}",
    "steps_lost": "a step is of item {0}, which is not there",
    "steps_missing": "the item {0} is kept for its steps, and has none",
    "steps_held": "a step of item {0} is running, but no live run can have leased it",
    "steps_left": "a step of item {0} is open, though the job is completed",
    "shown": "the item {0} is to be visible, and is not",
    "invisible": "the item {0} has no open step, and is not visible",
    "items_open": "the units count {1} items with open steps, there are {2}",
    "payloads": "{0} is not JSON",
    "step_payloads": "{0} is not JSON",
    "beginnings": "the URL of request {0} has no beginning",
}
"""By statement; the places are its columns."""


class Verdict(NamedTuple):
    """The result of checking a job."""

    checks: int
    violations: list[str]


def violations(
    statements: Mapping[str, str], rows: Callable[[str], Iterable[Sequence[Any]]]
) -> Verdict:
    """Run the statements of a backend; ``rows`` gives those of a statement."""
    found: list[str] = []
    if "integrity" in statements:
        found += [f"the file: {text}" for (text,) in rows(statements["integrity"]) if text != "ok"]
    ((*counted,),) = rows(statements["counted"])
    ((*there,),) = rows(statements["there"])
    for name, expected, number in zip(COUNTERS, counted, there, strict=True):
        if expected != number:
            found.append(f"the job counts {expected} {name.replace('_', ' ')}, there are {number}")
    checks = len(statements) - len(APART & statements.keys()) + len(COUNTERS)
    for name in statements.keys() - APART:
        found += [WORDS[name].format(*row) for row in rows(statements[name])]
    return Verdict(checks + ("integrity" in statements), sorted(found))
