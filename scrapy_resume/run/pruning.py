"""Deletes old numbers of a job, but for those that a later number rests on."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from scrapy_resume.errors import JobError, JobNotFoundError, StoreError
from scrapy_resume.store.contract.leftovers import forget_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from scrapy_resume.model import JobKey, JobSummary
    from scrapy_resume.store.contract import Store
    from scrapy_resume.store.contract.leftovers import Forget

logger = logging.getLogger("scrapy_resume")


def prune(store: Store, name: str, keep: int, forget: Forget = forget_nothing) -> list[JobKey]:
    """Delete completed numbers of a job, but for the latest ``keep``; 0 keeps all.

    A number on which a delta crawl that is kept rests is kept too. A job that cannot be read or
    deleted is left alone, with a warning. Returns those that were deleted, by number.
    """
    if keep <= 0:
        return []
    jobs = readable(
        store,
        (key for key in store.jobs() if key.name == name),
        lambda key, error: logger.warning("%s is left alone: %s", key, error),
    )
    completed = [job.key for job in jobs if job.status == "completed" and not job.alive]
    old = completed[:-keep]
    needed = needed_by_delta(jobs, old)
    pruned = []
    for key in old:
        if key in needed:
            logger.debug("%s is kept: the delta crawl %s rests on it", key, needed[key])
            continue
        try:
            if store.delete(key, completed_before=math.inf, forget=forget):
                pruned.append(key)
        except (JobError, StoreError) as error:
            logger.warning("%s is left alone: %s", key, error)
    return pruned


def readable(
    store: Store, keys: Iterable[JobKey], tell: Callable[[JobKey, StoreError], object]
) -> list[JobSummary]:
    """The jobs of the keys that are there. ``tell`` is called with each that cannot be read."""
    found = []
    for key in keys:
        try:
            found.append(store.summary(key))
        except JobNotFoundError:
            continue  # deleted since it was listed
        except StoreError as error:
            tell(key, error)
    return found


def needed_by_delta(
    jobs: Sequence[JobSummary], unwanted: Collection[JobKey]
) -> dict[JobKey, JobKey]:
    """The unwanted numbers that have to be kept, and the latest delta crawl that rests on each.

    A delta crawl fetches nothing that gave items in any number before it: those items are in the
    earlier numbers alone. ``jobs``: all numbers, of one name or of several.
    """
    unwanted = set(unwanted)
    resting: dict[str, JobKey] = {}
    for job in sorted(jobs, key=lambda job: job.key.number):
        if job.delta and job.key not in unwanted:
            resting[job.key.name] = job.key
    return {
        key: resting[key.name]
        for key in unwanted
        if key.name in resting and key.number < resting[key.name].number
    }
