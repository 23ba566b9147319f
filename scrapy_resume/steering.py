"""Changes the requests of a job: ``retry`` has them fetched again, ``park`` keeps them from it
until then, ``skip`` for good.

    from scrapy_resume.steering import park, retry, skip

    retry(".scrapy/resume", "books", state="failed", host="shop.example")

The commands ``scrapy resume retry``, ``park`` and ``skip`` do the same.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import State
from scrapy_resume.reporting.filters import selection
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.store import open_location
from scrapy_resume.store.transaction.steering import to_park, to_retry, to_skip

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, Selection


def retry(
    location: str | PathLike[str],
    job: str | JobKey | None = None,
    *,
    dry_run: bool = False,
    **filters: Any,
) -> int:
    """Have requests of a job fetched again. Returns how many they are.

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
    """
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
    **filters: Any,
) -> int:
    """Never fetch requests of a job, nor those of later numbers that are the same.

    Those that are pending, failed or parked become ignored, with the error ``skipped``; returns how
    many they are. If ``filters`` are none but ``host``, ``url``, ``unit`` and ``units``, what
    arrives later is skipped too if they hold for it. At least one filter has to be given. No plain
    ``retry`` takes them, but one with ``skipped`` does. Everything else is as in ``retry``.
    """
    chosen = selection(**filters)
    taken = to_skip(chosen)
    if chosen.is_everything and not filters.get("state"):
        raise ConfigurationError(
            "No filter says which requests to skip. Give at least one (host, url, unit, …)."
        )
    return _steer(location, job, taken if dry_run else chosen, State.ignored, dry_run)


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
