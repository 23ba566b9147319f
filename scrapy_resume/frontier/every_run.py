"""``meta["resume_every_run"]``: requests that each run fetches before all others (a login)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy import Request

EVERY_RUN_KEY: Final = "resume_every_run"
"""The key of ``meta``."""

AWAITED_SECONDS: Final = 5.0
"""How long a resumed run waits for such requests if earlier runs had some. They may never arrive: a
callback yielded them, or ``start()`` waits for something itself."""


def is_for_every_run(request: Request) -> bool:
    """Whether a request is fetched in each run, and before others."""
    return bool(request.meta.get(EVERY_RUN_KEY))


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
