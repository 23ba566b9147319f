"""What a commit has made of the steps of items, as events: for the event log and the signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.model import StepState
from scrapy_resume.reporting.times import iso
from scrapy_resume.settings.masking import masked_text

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Batch, Committed, StepAttempt

STEP_FAILED: Final = "step_failed"
ITEM_COMPLETED: Final = "item_completed"

_TYPES: Final = {
    StepState.done: "step_done",
    StepState.failed: STEP_FAILED,
    StepState.parked: STEP_FAILED,
    StepState.skipped: "step_skipped",
    StepState.pending: "step_retry_scheduled",
}


def step_events(batch: Batch, answer: Committed) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, fields) of each attempt that has ended, of each step that was skipped, and of each
    item whose steps have all ended. Nothing of changes that the store has refused."""
    for change in batch.steps.changes:
        if change.item in answer.steps.refused:
            continue
        known = {"item": masked_text(change.key), "url": masked_text(change.url)}
        for attempt in change.attempts:
            if attempt.state in _TYPES:
                yield _TYPES[attempt.state], {"step": attempt.name, **known, **_fields(attempt)}
        for other in change.others:
            if other.state is StepState.skipped:
                yield "step_skipped", {"step": other.name, **known, "error_message": other.reason}
        failed = answer.steps.ended.get(change.item)
        if failed is not None:
            yield ITEM_COMPLETED, {**known, "failed": list(failed)}


def _fields(attempt: StepAttempt) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempts": attempt.attempts}
    if attempt.error is not None:
        fields["error"] = attempt.error
    if attempt.message:
        fields["error_message"] = masked_text(attempt.message)
    if attempt.state is StepState.pending:
        fields["not_before"] = iso(attempt.not_before) if attempt.not_before else None
    return fields


def step_signals(batch: Batch, answer: Committed) -> list[dict[str, Any]]:
    """The events of ``step_failed`` and ``item_completed``, as far as they are wanted."""
    wanted = batch.events.wanted
    if STEP_FAILED not in wanted and ITEM_COMPLETED not in wanted:
        return []
    return [
        {"event": kind, ("step" if kind == STEP_FAILED else "item"): _told(kind, fields)}
        for kind, fields in step_events(batch, answer)
        if kind in wanted
    ]


def _told(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    told = dict(fields)
    if kind == STEP_FAILED:
        told["name"] = told.pop("step")
        told["message"] = told.pop("error_message", None)
        told.setdefault("error", None)
    else:
        told["key"] = told.pop("item")
    return told
