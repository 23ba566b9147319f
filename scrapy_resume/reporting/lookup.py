"""Which job a user means: the one place where ``JOB`` of the commands is resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey

WITH_ARGUMENTS: Final = re.compile("-[0-9a-f]{8}")
"""What the name of a job has after the spider's name, if the spider has arguments; see
``settings.job_name``."""

_SUGGESTIONS: Final = 3
_NAMED_AT_MOST: Final = 10


def find_job(keys: Iterable[JobKey], job: str | None, location: str) -> JobKey:
    """The job that is meant, out of ``keys``, those of the store at ``location``.

    ``job`` is ``name#number``; or ``name``, which means its highest number; or ``None``, which
    means the highest number if all jobs have the same name. A name may contain ``#`` itself. A
    spider's name means its job with arguments (``books-4bfb26d3``) if there is one such job, and
    none without. Raises ``JobNotFoundError``, which lists the nearest names.
    """
    known = sorted(keys, key=lambda key: key.number)
    if not known:
        raise JobNotFoundError(
            f"There are no jobs in {location}. To use another store, pass -s RESUME_STORE=…"
        )
    latest = {key.name: key for key in known}
    if job is None:
        if len(latest) > 1:
            raise JobNotFoundError(f"Which job? There are {_listed(sorted(latest))}.")
        return known[-1]
    name, number = JobKey.parse(job)
    if number is not None and JobKey(name, number) in known:
        return JobKey(name, number)
    if job in latest:
        return latest[job]
    with_arguments = [
        other
        for other in sorted(latest)
        if other.startswith(name) and WITH_ARGUMENTS.fullmatch(other.removeprefix(name))
    ]
    if len(with_arguments) == 1 and not any(key.name == name for key in known):
        (name,) = with_arguments
        if number is None:
            return latest[name]
        if JobKey(name, number) in known:
            return JobKey(name, number)
    near = [str(key) for key in known if key.name == name] or with_arguments
    near = near or get_close_matches(job, sorted(latest), n=_SUGGESTIONS) or sorted(latest)
    raise JobNotFoundError(f"There is no job {job} in {location}. The nearest: {_listed(near)}.")


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
