"""Changes the requests of a job: ``retry`` has them fetched again, ``park`` keeps them from it
until then, ``skip`` for good.

    from scrapy_resume.steering import park, retry, skip

    retry(".scrapy/resume", "books", state="failed", host="shop.example")
    retry(".scrapy/resume", "books", step="photos")

With ``step`` they are about that step of items, and no page is fetched for it. The commands
``scrapy resume retry``, ``park`` and ``skip`` do the same.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import State, StepState
from scrapy_resume.reporting.filters import selection
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.reporting.step_documents import step_selection
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.store import open_location
from scrapy_resume.store.transaction.steering import to_park, to_retry, to_skip

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, Selection
    from scrapy_resume.store.contract import SteeredSteps


def retry(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    dry_run: bool = False,
    step: str | None = None,
    **filters: Any,
) -> int:
    """Have requests of a job fetched again, or a step of its items tried again. Returns how many
    they are.

    ``job`` is what ``reporting.reports.Reports`` takes, ``filters`` are those of
    ``reporting.filters.selection``. Without a ``state``, failed and parked requests are retried;
    with ``partial``, requests that are done but lost items; with ``skipped``, what was skipped for
    good, which is undone by it for later numbers as well; with ``dead``, those that have failed in
    ``rounds`` rounds of retry, which are left alone otherwise if ``rounds`` is given. The states
    ``done`` and ``ignored`` can be retried too. A completed job becomes ``paused``. The items of a
    retried request replace those that it gave before; those of an execution that was done stay
    until another one is done, or the page is gone (404, 410). With ``dry_run`` nothing is changed.

    Requests that were never serialized cannot be retried (retry the pages that led to them), nor
    can those with ``resume_every_run``. If the job is live, its process makes the change within
    about a second. Raises ``JobNotFoundError``; ``StoreUnavailableError`` if that process does not
    answer, and then nothing is changed; ``ConfigurationError`` for a state that cannot be retried;
    ``ValueError`` for an unknown state; and ``StoreError``.

    With ``step`` see ``retry_steps``, whose ``filters`` these are then.
    """
    if step is not None:
        return retry_steps(location, job, step=step, dry_run=dry_run, **filters).steps
    return _steer(location, job, to_retry(selection(**filters)), State.pending, dry_run)


def park(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    dry_run: bool = False,
    **filters: Any,
) -> int:
    """Keep requests of a job from being fetched until they are retried. Returns how many they are.

    Only pending and failed requests are parked. At least one of ``filters`` has to be given.
    Everything else is as in ``retry``.
    """
    chosen = to_park(selection(**filters))
    if chosen.is_everything and not filters.get("state"):
        raise ConfigurationError(
            "No filter says which requests to park. Give at least one (state, host, url, …)."
        )
    return _steer(location, job, chosen, State.parked, dry_run)


def skip(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    dry_run: bool = False,
    step: str | None = None,
    **filters: Any,
) -> int:
    """Never fetch requests of a job, nor those of later numbers that are the same.

    Those that are pending, failed or parked become ignored, with the error ``skipped``; returns how
    many they are. If ``filters`` are none but ``host``, ``url``, ``unit`` and ``units``, what
    arrives later is skipped too if they hold for it. At least one filter has to be given. No plain
    ``retry`` takes them, but one with ``skipped`` does. Everything else is as in ``retry``.

    With ``step`` see ``skip_steps``, whose ``filters`` these are then.
    """
    if step is not None:
        return skip_steps(location, job, step=step, dry_run=dry_run, **filters).steps
    chosen = selection(**filters)
    taken = to_skip(chosen)
    if chosen.is_everything and not filters.get("state"):
        raise ConfigurationError(
            "No filter says which requests to skip. Give at least one (host, url, unit, …)."
        )
    return _steer(location, job, taken if dry_run else chosen, State.ignored, dry_run)


def retry_steps(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    step: str,
    dry_run: bool = False,
    **filters: Any,
) -> SteeredSteps:
    """Have a step of items tried again by the job's next run, or by the one that is live. Returns
    how many, and how many were left alone because what the step needs was consumed.

    ``filters`` are those of ``reporting.step_documents.step_selection``. Without a ``state``,
    failed and parked steps are opened; with ``items``, ``missing`` or ``version``, those that have
    ended in any way. Attempts are counted anew, the error is shown until the next attempt has
    ended, and an item that is visible stays so until then. No page is fetched. A completed job
    becomes ``paused``. Raises ``ConfigurationError`` for a step that the job does not have, and for
    a state that cannot be retried; everything else is as in ``retry``.
    """
    return _steer_steps(location, job, step, StepState.pending, dry_run, filters)


def skip_steps(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    step: str,
    dry_run: bool = False,
    **filters: Any,
) -> SteeredSteps:
    """Give up a step of items: failed and parked ones become skipped, and their items are complete
    without it. Everything else is as in ``retry_steps``."""
    return _steer_steps(location, job, step, StepState.skipped, dry_run, filters)


def _steer_steps(
    location: str | PathLike[str],
    job: str | JobKey | None,
    step: str,
    to: StepState,
    dry_run: bool,
    filters: dict[str, Any],
) -> SteeredSteps:
    place = parsed_location(location)
    reports = open_store(place)
    key = reports.find(job)
    chosen = step_selection(step, **filters)
    others = reports.unknown_step(key, step)
    if others is not None:
        raise ConfigurationError(unknown_step_line(key, step, others))
    return open_location(place).steer_steps(key, chosen, to, dry_run=dry_run)


def unknown_step_line(key: JobKey, step: str, others: list[str]) -> str:
    """Says that a job has no step of that name, but these; the one that is most like it first."""
    if not others:
        return f"The items of {key} have no steps."
    return f"No item of {key} has a step {step!r}; there are {', '.join(others)}."


def _steer(
    location: str | PathLike[str],
    job: str | JobKey | None,
    chosen: Selection,
    to: State,
    dry_run: bool,
) -> int:
    place = parsed_location(location)
    key = open_store(place).find(job)
    return open_location(place).steer(key, chosen, to, dry_run=dry_run)
