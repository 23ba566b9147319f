"""A selection of steps as a condition on the tables of steps, in a database's dialect."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import StepSelection
from scrapy_resume.store.transaction.selection import Condition, Dialect
from scrapy_resume.store.transaction.step_tables import MISSING
from scrapy_resume.store.transaction.storable_text import storable

TROUBLED_STEPS: Final = frozenset({StepState.failed, StepState.parked})
"""States that both backends can find without reading all steps."""


class StepPlaces(NamedTuple):
    """Where a database has what conditions on steps are about: ``t`` is the step, ``s`` its
    item."""

    dialect: Dialect
    has_name: str
    """The condition that ``t`` has the name at the place ``step``."""
    with_keys: str
    """The condition that ``t`` is of an item with one of the keys at the place ``keys``."""
    visible: str
    """What follows FROM, for the visible item ``i`` of ``s``, up to AND."""


def step_condition(selection: StepSelection, places: StepPlaces) -> Condition:
    """On ``t``, a step, and ``s``, its item."""
    dialect = places.dialect
    parts: list[str] = []
    values: dict[str, Any] = {}
    if selection.states:
        numbers = ", ".join(str(int(state)) for state in sorted(set(selection.states)))
        parts.append(f"t.state IN ({numbers})")
        # A partial index is used only where its condition stands in the query, word for word.
        if TROUBLED_STEPS.issuperset(selection.states):
            parts.append("t.state IN (3, 4)")
    if selection.name is not None:
        parts.append(places.has_name)
        values["step"] = storable(selection.name)
    if selection.keys is not None:
        parts.append(places.with_keys)
        values["keys"] = dialect.values([storable(key) for key in selection.keys])
    if selection.missing:
        parts.append(f"EXISTS (SELECT 1 FROM {places.visible} AND {dialect.lacks})")
        values["missing"] = dialect.values([storable(name) for name in selection.missing])
    if selection.version is not None:
        place = dialect.value("version")
        parts.append(f"(t.version IS NULL OR t.version <> {place})")
        parts.append(f"(t.error IS NULL OR t.error <> '{MISSING}')")
        values["version"] = storable(selection.version)
    return Condition(" AND ".join(parts) or "true", values)
