"""What the dashboard serves, and how."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.reporting.overview import STALE_SECONDS
from scrapy_resume.reporting.reports import Reports
from scrapy_resume.settings.parse_location import StoreLocation
from scrapy_resume.steps.declared import DeclaredStep
from scrapy_resume.store.contract import Stamp
from scrapy_resume.web.job_ids import job_id

KEPT_DOCUMENTS: Final = 5_000


class JobDocuments:
    """The documents of jobs that nobody owns, until they change: a list of a thousand jobs reads
    those that are crawled."""

    def __init__(self) -> None:
        self._kept: OrderedDict[JobKey, tuple[Stamp, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, reports: Reports, key: JobKey, stamp: Stamp) -> dict[str, Any] | None:
        """The document of ``status --json`` with the ``id``, or that of a job that cannot be read;
        ``None``: it is gone."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] == stamp:
                self._kept.move_to_end(key)
                return kept[1]
        try:
            document = {"id": job_id(key), **reports.job_or_error(key)}
        except JobNotFoundError:
            return None
        with self._lock:
            self._kept.pop(key, None)
            if document["status"] not in LIVE_STATUSES:
                self._kept[key] = stamp, document
                while len(self._kept) > KEPT_DOCUMENTS:
                    self._kept.popitem(last=False)
        return document


def _not_declared(spider: str, step: str) -> DeclaredStep | None:
    """Of a store whose project is not known."""
    return None


# One field for each thing that the command line or the settings say: always built by keyword.
@dataclass(frozen=True, kw_only=True)
class Board:
    """A store, and what may be seen and done of it."""

    location: StoreLocation
    """May contain a password: nothing of it is shown but through ``Reports.location``."""
    open_reports: Callable[[], Reports]
    """The read side, for one answer in one thread."""
    events: Path
    """The directory of the event log."""
    token: str
    hosts: frozenset[str] = frozenset()
    """Names, beside loopback ones, under which it may be called, in lower case; ``*``: any IP
    address."""
    base: str = ""
    """The path under which a proxy serves it: empty, or ``/crawls``."""
    read_only: bool = False
    metrics_only: bool = False
    retry_rounds: int = 0
    """``RESUME_RETRY_ROUNDS``."""
    crash_limit: int = 3
    """``RESUME_CRASH_LIMIT``."""
    stale_seconds: float = STALE_SECONDS
    """``RESUME_STALE_AFTER``."""
    declared_step: Callable[[str, str], DeclaredStep | None] = _not_declared
    """(spider, name of a step) → what the project's RESUME_STEPS says about it. Raises
    ``ConfigurationError``."""
    documents: JobDocuments = field(default_factory=JobDocuments)
