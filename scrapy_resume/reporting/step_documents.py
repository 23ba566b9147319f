"""Parts of the ``--json`` documents that are about steps of items. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import asdict

from scrapy_resume.model import StepCounts, StepState
from scrapy_resume.store.contract import StepSelection

STEP_STATES: Final = ("pending", "running", "done", "failed", "parked", "skipped")
"""As people see them: what waits for other steps is pending."""

ITEM_STATES: Final = ("complete", "partial", "open")


def steps_answer(counts: Mapping[str, StepCounts]) -> dict[str, dict[str, int]]:
    """The ``steps`` of ``status --json``: counts by step and state."""
    return {name: asdict(count) for name, count in counts.items()}


def step_documents(
    counts: Mapping[str, StepCounts], failures: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The documents of ``steps --json``."""
    return [
        {
            "step": name,
            **asdict(count),
            "success_rate": count.success_rate,
            "errors": [
                {key: value for key, value in group.items() if key != "step"}
                for group in failures
                if group["step"] == name
            ],
        }
        for name, count in counts.items()
    ]


def item_state(open_: int, steps: Iterable[Mapping[str, Any]]) -> str:
    """``open`` while a step has not ended, ``partial`` with one that has failed or is parked, else
    ``complete``."""
    if open_:
        return "open"
    troubled = any(step["state"] in ("failed", "parked") for step in steps)
    return "partial" if troubled else "complete"


# One parameter for each filter: their names are public, as keywords of ``steering.retry``.
def step_selection(
    step: str | None = None,
    *,
    state: str | Iterable[str] | None = None,
    items: str | Iterable[str] | None = None,
    missing: str | Iterable[str] | None = None,
    version: str | None = None,
    is_consumed: bool = False,
    after: Iterable[str] = (),
    limit: int | None = None,
) -> StepSelection:
    """A selection of steps: those that match every argument that is given.

    ``step``: their name. ``state``: names of states, as people see them. ``items``: keys of items:
    of RESUME_ITEM_KEY, or else ``scrapy_resume.item_key``. ``missing``: fields of which the visible
    item lacks one, or has it empty. ``version``: not done by this version of the step.
    ``is_consumed``: a field that the step needs is consumed by a step, so that items which do not
    have it any more are left alone. ``after``: names of steps that it waits for. ``limit``: at most
    so many. Raises ``ValueError`` for an unknown state.
    """
    return StepSelection(
        name=step,
        states=tuple(one for name in _texts(state) or () for one in _states(name)),
        keys=_texts(items),
        missing=_texts(missing) or (),
        version=version,
        is_consumed=is_consumed,
        after=tuple(after),
        limit=limit,
    )


def _states(name: str) -> tuple[StepState, ...]:
    if name not in STEP_STATES:
        raise ValueError(f"unknown state {name!r}; use one of {', '.join(STEP_STATES)}")
    if name == "pending":
        return (StepState.pending, StepState.waiting)
    return (StepState[name],)


def _texts(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)
