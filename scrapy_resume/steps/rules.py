"""Which steps of an item may run, which wait and which are skipped. No I/O.

Steps are decided upon in the order of the plan, in which a step stands behind all that it is
``after``. So the decision about one rests only on those before it, and the first one that is open
can always be decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from scrapy_resume.model import OPEN_STEPS, StepState
from scrapy_resume.store.contract import NewStep


class Rule(Protocol):
    """What decides when a step runs."""

    @property
    def name(self) -> str:
        """Of the step."""

    @property
    def needs(self) -> Sequence[str]:
        """Fields that must be there."""

    @property
    def after(self) -> Sequence[str]:
        """Steps that must have ended."""


SWITCHED_OFF: Final = "switched off in RESUME_STEPS"


def first_states(rules: Sequence[Rule], has: Callable[[str], bool]) -> list[NewStep]:
    """The states of the steps of an item that has left the pipelines. ``has``: whether a field of
    the item is there and not empty."""
    states: dict[str, StepState] = {}
    steps = []
    for position, rule in enumerate(rules):
        new = _decide(rule, rules[:position], states, has)
        states[rule.name] = new.state
        steps.append(new)
    return steps


def changes(
    rules: Sequence[Rule],
    states: Mapping[str, StepState],
    has: Callable[[str], bool],
    *,
    lacking: Collection[str] = (),
    off: Collection[str] = (),
) -> list[NewStep]:
    """The steps of an item whose states change, since an attempt of another one has ended.

    ``states``: of all its steps, as they are now. ``lacking``: those that are skipped for want of a
    field. ``off``: those that are switched off. Steps of ``states`` that ``rules`` do not have are
    left alone, unless nothing else of the item is left to end.
    """
    now = dict(states)
    changed = [
        NewStep(name, StepState.skipped, SWITCHED_OFF)
        for name, state in states.items()
        if name in off and state in (StepState.waiting, StepState.pending)
    ]
    now.update((new.name, new.state) for new in changed)
    for position, rule in enumerate(rules):
        state = now.get(rule.name)
        if state is StepState.skipped and rule.name in lacking:
            if missing_fields(rule, has):
                continue
        elif state not in (StepState.waiting, StepState.pending):
            continue
        new = _decide(rule, rules[:position], now, has)
        if new.state is not state:
            now[rule.name] = new.state
            changed.append(new)
    return changed + _left_waiting(rules, now)


def _left_waiting(rules: Sequence[Rule], states: Mapping[str, StepState]) -> list[NewStep]:
    """Steps that wait, have no rule, and are left with nothing that would have them decided upon:
    they become ``pending``, and are so until their code is put back. Without this their item would
    be open for ever."""
    open_ = {name for name, state in states.items() if state in OPEN_STEPS}
    if any(states[name] is not StepState.waiting for name in open_):
        return []
    unknown = open_ - {rule.name for rule in rules}
    return [NewStep(name, StepState.pending) for name in states if name in unknown]


def missing_fields(rule: Rule, has: Callable[[str], bool]) -> list[str]:
    """The fields that a step needs and the item lacks."""
    return [name for name in rule.needs if not has(name)]


def _decide(
    rule: Rule,
    before: Sequence[Rule],
    states: Mapping[str, StepState],
    has: Callable[[str], bool],
) -> NewStep:
    if any(states.get(name) in OPEN_STEPS for name in rule.after):
        return NewStep(rule.name, StepState.waiting)
    missing = missing_fields(rule, has)
    if not missing:
        return NewStep(rule.name, StepState.pending)
    if any(states.get(other.name) in OPEN_STEPS for other in before):
        return NewStep(rule.name, StepState.waiting)
    return NewStep(rule.name, StepState.skipped, lacks(missing))


def lacks(missing: Sequence[str]) -> str:
    """Why a step is skipped, if the item lacks these fields."""
    return f"needs {', '.join(missing)}, which the item lacks"
