"""Delta crawls: which requests may be skipped, and the keys that they are compared by. No I/O.

Each request that gives items leaves its key for later numbers of the job: ``meta["resume_key"]``,
or its fingerprint. The store skips a request whose key is there; this module decides which requests
may be skipped at all. Requests of ``start()`` may not, unless RESUME_DELTA_START says so: mostly
they show a crawl what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.model import START, Kind, key_of_ones_own, ordinary_identity

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.row import Row

KEY: Final = "resume_key"
"""The key of ``meta`` for a key that the user sets; ``None``: the fingerprint is the key."""

ALWAYS_FETCHED: Final = "resume_delta"
"""The key of ``meta`` that is ``False`` for a request that must not be skipped."""


def own_key(request: Request) -> bytes | None:
    """The key that the user has set, as an identity; ``None``: none. It also stands in for what a
    request with ``dont_filter`` is known by between runs."""
    own = request.meta.get(KEY)
    return None if own is None else key_of_ones_own(own)


def given_key(request: Request, fingerprint: bytes, identity: bytes) -> bytes | None:
    """The key that a request leaves for later numbers of the job, if it gives items; ``None``: its
    identity is the key."""
    key = own_key(request) or ordinary_identity(fingerprint)
    return None if key == identity else key


def may_be_skipped(request: Request, parent: Row | None, *, start: bool = False) -> bool:
    """Whether a delta crawl may skip a request that ``parent`` yielded (``None``: unknown).

    It may if the parent is a request, and neither is this a retry of it, nor does ``resume_delta``
    in ``meta`` forbid it. ``start``: what ``start()`` yields may be skipped too.
    """
    return (
        parent is not None
        and (parent.id != START or start)
        and parent.kind is Kind.request
        and retries_of(request) <= parent.retry_times
        and bool(request.meta.get(ALWAYS_FETCHED, True))
    )
