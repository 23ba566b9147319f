"""Delta crawls: which requests earlier numbers of the job have made superfluous. No I/O.

A request is known to later numbers by its key: ``meta["resume_key"]``, or its fingerprint. The
store says whether one with that key gave items; here it is only told which requests may be
skipped at all. Those that ``start()`` yields never are: they are where a crawl learns what is
new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.model import START, Kind, key_of_ones_own, ordinary_identity

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.row import Row

KEY: Final = "resume_key"
"""The key of ``meta`` for a key of one's own; ``None`` stands for the fingerprint."""

ALWAYS_FETCHED: Final = "resume_delta"
"""The key of ``meta`` that is ``False`` for what is to be fetched always."""


def given_key(request: Request, fingerprint: bytes, identity: bytes) -> bytes | None:
    """What later numbers know the request by, if it gives items; ``None``: by its identity."""
    own = request.meta.get(KEY)
    key = ordinary_identity(fingerprint) if own is None else key_of_ones_own(own)
    return None if key == identity else key


def may_be_skipped(request: Request, parent: Row | None) -> bool:
    """Whether a delta crawl may do without the request: if a page has led to it.

    Another attempt at a page that was fetched is not one to do without.
    """
    return (
        parent is not None
        and parent.id != START
        and parent.kind is Kind.request
        and retries_of(request) <= parent.retry_times
        and bool(request.meta.get(ALWAYS_FETCHED, True))
    )
