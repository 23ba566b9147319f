"""The copy of a job that RESUME_BACKUP keeps, and what is restored from it."""

from __future__ import annotations

from typing import NamedTuple

from scrapy_resume.model import JobKey


class OwnCopy(NamedTuple):
    """A copy that was made."""

    at: float
    """The job's last change that it has, in seconds since the epoch."""
    took_seconds: float
    bytes: int


class Restored(NamedTuple):
    """A damaged job that was restored from its copy."""

    job: JobKey
    line: str
    """What was wrong, what was lost, and where the damaged file is, for a person."""
