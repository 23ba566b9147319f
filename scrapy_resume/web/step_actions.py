"""What people do to steps of items: retry and skip, as the commands with ``--step``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from scrapy_resume.model import JobKey
from scrapy_resume.reporting.step_documents import step_selection
from scrapy_resume.steering import retry_steps, skip_steps
from scrapy_resume.store.contract import SteeredSteps, StepSelection
from scrapy_resume.store.transaction.step_steering import steps_to_retry, steps_to_skip
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.expected import CountDiffersError, expected_number
from scrapy_resume.web.query import QueryError, step_filters_of_body

SHOWN: Final = 20
"""Items of a preview."""

STEP_CHANGES: Final[
    Mapping[str, tuple[Callable[..., SteeredSteps], Callable[[StepSelection], StepSelection]]]
] = {
    "retry": (retry_steps, steps_to_retry),
    "skip": (skip_steps, steps_to_skip),
}
"""What changes steps, and what it takes of a selection."""


def change_steps(
    ask: Ask, key: JobKey, action: str, body: Mapping[str, Any], *, dry_run: bool, expect: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what was done, or would be; the filters). ``body`` without ``dry_run`` and ``expect``.

    Raises ``CountDiffersError``, ``QueryError``, ``ValueError`` and what ``steering`` raises.
    """
    if action not in STEP_CHANGES:
        raise QueryError(f"{action} does not change steps; retry and skip do")
    change, choose = STEP_CHANGES[action]
    filters = step_filters_of_body(body)
    step = filters.pop("step")
    named = {"step": step, **filters}
    filters |= _as_declared(ask, key, step, outdated=filters.pop("outdated", False))
    if action == "skip":
        filters.pop("after", None)
        filters.pop("is_consumed", None)
    steer = partial(change, ask.board.location, key, step=step)
    wanted = expected_number(expect)
    if wanted is not None and not dry_run:
        found = steer(dry_run=True, **filters).steps
        if found != wanted:
            raise CountDiffersError(wanted, found)
        # What arrives between the two looks is not in the preview that was agreed to.
        filters["limit"] = wanted
    done = SteeredSteps(0) if wanted == 0 else steer(dry_run=dry_run, **filters)
    document: dict[str, Any] = {
        "id": ask.path["id"],
        "job": str(key),
        "step": step,
        "steps": done.steps,
        "consumed": done.consumed,
        "dry_run": dry_run,
    }
    if dry_run:
        meant = choose(step_selection(step, **{**filters, "limit": SHOWN}))
        rows = islice(ask.reports.stepped_records(key, meant), SHOWN) if done.steps else ()
        document["items"] = [row["key"] for row in rows]
    return document, named


def _as_declared(ask: Ask, key: JobKey, step: str, *, outdated: bool) -> dict[str, Any]:
    """What the project's code says about a step, if it names it; see ``step_selection``."""
    declared = ask.board.declared_step(ask.reports.summary(key).spider, step)
    if declared is None:
        if outdated:
            raise QueryError(f"RESUME_STEPS has no step {step!r} here: its version is not known")
        return {}
    found = {"after": declared.after, "is_consumed": declared.is_consumed}
    return {**found, "version": declared.version} if outdated else found
