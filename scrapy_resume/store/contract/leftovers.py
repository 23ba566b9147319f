"""What processes that died have left in a store, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from scrapy_resume.model import JobKey

Forget = Callable[[JobKey], None]
"""Deletes what is kept elsewhere under a job's key, such as its event log. It is called when the
job cannot come back, and before the last trace of its deletion is gone: so it is called again if
the process dies meanwhile. May raise ``OSError``."""


class Leftover(NamedTuple):
    """Something that was found."""

    line: str
    """What it is and what became of it, for a person."""
    deleted: JobKey | None = None
    """The job whose interrupted deletion was completed, if it was that."""


class Deletable(NamedTuple):
    """When a job may be deleted; ``None``: that does not matter."""

    completed_before: float | None = None
    untouched_since: float | None = None

    def allows(self, status: str, completed_at: float | None, updated_at: float) -> bool:
        """Whether a job of this status and these times (seconds since the epoch) may be."""
        before, since = self
        if before is not None and (status != "completed" or (completed_at or 0) >= before):
            return False
        return since is None or updated_at <= since


def forget_nothing(key: JobKey) -> None:
    """A ``Forget`` for jobs of which nothing is kept elsewhere."""
