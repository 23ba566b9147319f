"""Pages of items by the states of their steps: which index finds them. No I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import StepSelection
from scrapy_resume.store.transaction.step_filters import TROUBLED_STEPS

PENDING: Final = frozenset({StepState.pending, StepState.waiting})


class StepPart(NamedTuple):
    """Steps that one index, or the table itself, finds."""

    found_by: str
    """``troubled``, ``running`` and ``ready`` are indexes by the step's name; ``keyed`` is the one
    on the keys of items; with ``all``, the steps of one item after the other are looked at."""
    states: tuple[StepState, ...]
    """Empty: of any state, or those of the index."""
    without_ready: bool = False
    """Steps that could be leased now are found by another part."""


def step_parts(steps: StepSelection, other_pending: int) -> list[StepPart]:
    """What has to be asked for the items of a selection. ``other_pending``: how many pending steps
    of that name could not be leased now; no index has them in the order of items."""
    if steps.keys is not None:
        return [StepPart("keyed", steps.states)]
    if steps.missing or steps.version is not None or not steps.states or steps.name is None:
        return [StepPart("all", steps.states)]
    states = frozenset(steps.states)
    found = []
    if troubled := states & TROUBLED_STEPS:
        found.append(StepPart("troubled", tuple(sorted(troubled))))
    if StepState.running in states:
        found.append(StepPart("running", (StepState.running,)))
    rest = states - TROUBLED_STEPS - PENDING - {StepState.running}
    if StepState.pending in states:
        found.append(StepPart("ready", (StepState.pending,)))
    if other_pending:
        rest |= states & PENDING
    if rest:
        found.append(StepPart("all", tuple(sorted(rest)), without_ready=bool(rest & PENDING)))
    return found
