"""``meta["resume_every_run"]``: requests that each run fetches before all others (a login).

What the callback of such a request yields and is no GET belongs to it: the form of a login page is
useless without its answer. It is a request of every run too, unless its own ``resume_every_run`` is
false. Forms have values that differ in each run (a token), so their key is derived without those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.model import digest

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.row import Row

EVERY_RUN_KEY: Final = "resume_every_run"
"""The key of ``meta``."""

_READS: Final = frozenset({"GET", "HEAD"})

AWAITED_SECONDS: Final = 5.0
"""How long a resumed run waits for such requests if earlier runs had some. They may never arrive: a
callback yielded them, or ``start()`` waits for something itself."""


def is_for_every_run(request: Request) -> bool:
    """Whether a request is fetched in each run, and before others."""
    return bool(request.meta.get(EVERY_RUN_KEY))


def belongs_to_every_run(request: Request, parent: Row | None) -> bool:
    """Whether a request is fetched in each run since ``parent`` (``None``: unknown) is, whose
    callback yielded it."""
    return (
        parent is not None
        and parent.every_run
        and request.method not in _READS
        and EVERY_RUN_KEY not in request.meta
    )


def form_of(request: Request) -> bytes:
    """What is the same in each run of a request that belongs to another one: the method, and the
    URL without its query."""
    return digest(b"form", request.method.encode(), request.url.partition("?")[0].encode())


class EveryRunGate:
    """Keeps all other requests waiting until those of every run have ended."""

    def __init__(self, *, awaited: bool = False) -> None:
        """``awaited``: earlier runs had some, so nothing is dispatched before the first arrives."""
        self.awaited = awaited
        self._open: set[int] = set()
        """Ids of the rows that have not ended."""

    def arrived(self, row_id: int) -> None:
        """Such a row is in the buffer, or on its way to the store."""
        self._open.add(row_id)
        self.awaited = False

    def ended(self, row_id: int) -> None:
        """A row has ended, or was found to be a duplicate. No error if it is any other."""
        self._open.discard(row_id)

    def stop_awaiting(self) -> bool:
        """Let others pass though none may have arrived. Returns whether they had to wait."""
        awaited, self.awaited = self.awaited, False
        return awaited

    @property
    def is_closed(self) -> bool:
        """Only rows of every run may pass."""
        return bool(self._open)
