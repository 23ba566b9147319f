"""Telling a job which requests to fetch again, and which never to fetch.

    from scrapy_resume.steering import park, retry

    retry(".scrapy/resume", "books", state="failed", host="shop.example")

The commands ``scrapy resume retry`` and ``park`` do the same.
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import State
from scrapy_resume.reporting.reports import open_store, selection
from scrapy_resume.store import open_location
from scrapy_resume.store.transaction.steering import to_park, to_retry

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, Selection


def retry(
    location: str | PathLike[str],
    job: str | None = None,
    *,
    dry_run: bool = False,
    **filters: Any,
) -> int:
    """Have requests of a job fetched again by the next run; how many they are.

    ``filters`` are those of ``reporting.reports.selection``. Without a ``state``, those that
    have failed and those that are parked; with ``partial``, those that are done and of which
    items failed. ``done`` and ``ignored`` are possible too. A completed job becomes ``paused``.
    What a retried request gives replaces what it gave before. With ``dry_run`` nothing is
    changed.

    Left alone are requests that were never written down (retry the pages that led to them), and
    those with ``resume_every_run``. While a process crawls the job, that one does it, within a
    second or so. Raises ``JobNotFoundError``, ``StoreUnavailableError`` if that process does not
    answer (nothing is changed then), ``ConfigurationError`` for a state that cannot be retried,
    ``ValueError`` for one that there is not, and ``StoreError``.
    """
    return _steer(location, job, to_retry(selection(**filters)), State.pending, dry_run)


def park(
    location: str | PathLike[str],
    job: str | None = None,
    *,
    dry_run: bool = False,
    **filters: Any,
) -> int:
    """Have requests of a job not fetched until they are retried; how many they are.

    Those that are pending or have failed, as far as ``filters`` hold for them; there has to be
    one. Otherwise as ``retry``.
    """
    meant = to_park(selection(**filters))
    if meant.is_everything and not filters.get("state"):
        raise ConfigurationError(
            "Which requests are to be parked? Name at least one filter (state, host, url, …)."
        )
    return _steer(location, job, meant, State.parked, dry_run)


def _steer(
    location: str | PathLike[str], job: str | None, meant: Selection, to: State, dry_run: bool
) -> int:
    place = fspath(location)
    key: JobKey = open_store(place).find(job)
    return open_location(place).steer(key, meant, to, dry_run=dry_run)
