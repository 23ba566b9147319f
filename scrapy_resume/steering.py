"""Changes the requests of a job: ``retry`` has them fetched again, ``park`` keeps them from it.

    from scrapy_resume.steering import park, retry

    retry(".scrapy/resume", "books", state="failed", host="shop.example")

The commands ``scrapy resume retry`` and ``park`` do the same.
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
from scrapy_resume.store.transaction.steering import to_park, to_retry

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
    with ``partial``, requests that are done but lost items. The states ``done`` and ``ignored``
    can be retried too. A completed job becomes ``paused``. The items of a retried request replace
    those that it gave before; those of an execution that was done stay until another one is done,
    or the page is gone (404, 410). With ``dry_run`` nothing is changed.

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
