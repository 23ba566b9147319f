"""One question to the dashboard: what it is about, and the store that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey
from scrapy_resume.reporting.reports import Reports
from scrapy_resume.store.contract import PageReader, Stamp
from scrapy_resume.web.board import Board
from scrapy_resume.web.job_ids import job_key


@dataclass(frozen=True)
class Ask:
    """A question, for a function that answers it in a thread."""

    board: Board
    reports: Reports
    path: dict[str, str]
    query: QueryParams

    @property
    def pages(self) -> PageReader:
        """The store."""
        return self.reports.pages

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.reports.now()

    def key(self) -> JobKey:
        """The job that the path names: by its id, or by a name, which means its latest number.

        Raises ``JobNotFoundError``.
        """
        return key_of(self.reports, self.path["id"])

    def document(self, key: JobKey) -> dict[str, Any]:
        """The document of a job; one that cannot be read has a text as its ``error``.

        Raises ``JobNotFoundError``.
        """
        stamp = self.pages.stamps().get(key, Stamp(0.0, None))
        document = self.board.documents.of(self.reports, key, stamp)
        if document is None:
            raise JobNotFoundError(f"There is no job {key}. It may have been deleted.")
        return document


def key_of(reports: Reports, text: str) -> JobKey:
    """The job of an id. Raises ``JobNotFoundError``."""
    key = job_key(text)
    if key is None:
        named = job_key(f"{text}~0")
        if named is None:
            raise JobNotFoundError(f"There is no job {text[:200]!r}.")
        return reports.find(named.name)
    return key
