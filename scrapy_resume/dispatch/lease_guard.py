"""Holds requests back while this worker does not know whether its leases are still its own.

Other workers take over the leases and the hosts of a worker that has been silent for
RESUME_ORPHAN_TIMEOUT. A worker that was frozen (SIGSTOP, a machine that sleeps, an event loop that
was blocked) does not notice it by itself: so before anything is sent, the time since the store last
confirmed the worker is compared with that limit. A job that has one owner at a time may be taken
over by force while its owner is frozen; there, the time since the event loop last ran is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.ports.engine import Engine

CONFIRMED_SHARE: Final = 0.5
"""Share of RESUME_ORPHAN_TIMEOUT that a worker goes on sending without an answer of the store. The
rest is for requests that have left the downloader, and are still on their way to the site."""


class LeaseGuard:
    """Says whether requests may be sent, and has them sent when the store has answered."""

    def __init__(
        self,
        *,
        shared: bool,
        orphan_seconds: float,
        committer: Committer,
        engine: Engine,
        clock: Clock,
    ) -> None:
        """``shared``: other workers take over this one's leases when it is silent."""
        self._shared = shared
        self._limit_seconds = orphan_seconds * CONFIRMED_SHARE
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._seen_at = clock.monotonic()
        """When the event loop last ran, as far as is known here."""
        self._thawed_at = 0.0
        """When it ran again after it was frozen; 0: it never was."""
        self.waits = False
        """Something was held back, and waits for an answer of the store."""
        self.lost = False
        """Nothing that this run does is kept any more."""

    def may_send(self) -> bool:
        """Whether the leases are known to be this worker's. If not, the store is asked.

        To be called at least once a second.
        """
        if self.lost:
            return False
        if self._is_confirmed():
            return True
        self.waits = True
        self._committer.send_soon()
        return False

    def _is_confirmed(self) -> bool:
        now = self._clock.monotonic()
        if self._shared:
            return now - self._committer.in_touch_at <= self._limit_seconds
        if now - self._seen_at > self._limit_seconds:
            self._thawed_at = now
        self._seen_at = now
        return self._committer.in_touch_at >= self._thawed_at

    def answered(self) -> None:
        """A batch was committed: send what was held back, unless the answer is an old one too."""
        if not self.waits:
            return
        if self._is_confirmed():
            self.waits = False
            self._engine.send_queued()
            self._engine.wake()
        else:
            self._committer.send_soon()

    def lose(self) -> None:
        """Nothing more can be committed: what is queued in the downloader is never sent."""
        self.lost = True
        self.waits = False
        self._engine.drop_queued()
