"""Who is told what the store has kept of a run: its feeds, and observers of its commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from scrapy_resume.model import Counts
    from scrapy_resume.store.contract import Batch, Committed, Session
    from scrapy_resume.tracking.tracker import Tracker


class Feeds(Protocol):
    """The feeds of a run."""

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far they have come."""

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver them. Returns whether each of them is whole."""

    async def leave(self, timeout_seconds: float) -> bool:
        """Others go on with the job, and the last of them delivers the feeds: deliver what is
        this run's alone. Returns whether it is whole."""

    def abandon(self) -> None:
        """The run ends at once: write nothing more."""

    def let_go(self) -> None:
        """They are delivered, and the job is about to be completed: the next batch says so."""

    def forget(self) -> None:
        """That is committed: clear away what stands beside their files."""


class CommitListener(Protocol):
    """Is told what is true in the store from now on. It must not raise, and not block.

    The calls come in the order of the commits; those of a forced shutdown on the store thread.
    """

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        """The end of the run is kept: the status that the job has now, the counters of the whole
        job, and the responses of this run."""

    def end(self) -> None:
        """Nothing more is told, whether or not there was an end."""


class CommitListeners:
    """All of them, for one run."""

    def __init__(self, session: Session, tracker: Tracker) -> None:
        self._shared = session.sharing.shared
        self._tracker = tracker
        self.feeds: Feeds | None = None
        """Filled by the exporter of feeds, if there are any."""
        self.observers: list[CommitListener] = []

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far the feeds have come."""
        if self.feeds is not None:
            self.feeds.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        if self.feeds is not None:
            self.feeds.committed(batch, answer)
        for observer in self.observers:
            observer.committed(batch, answer)

    def kept_last_words(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """What a forced shutdown has sent is kept: the feeds hear nothing any more."""
        counts = self._tracker.counts if answer is None else answer.counts
        for observer in self.observers:
            if answer is not None:
                observer.committed(batch, answer)
        self.ended(status, reason, counts)

    def ended(self, status: str | None, reason: str, counts: Counts) -> None:
        """The job has that status now. ``None``: the end of the run could not be written."""
        if not self._shared:
            # What this run had leased is released with its end; on a shared store others have some.
            counts = replace(counts, pending=counts.open, leased=0)
        for observer in self.observers:
            if status is not None:
                observer.closed(status, reason, counts, self._tracker.pages)
            observer.end()

    def abandon_feeds(self) -> None:
        """The run ends at once: the feeds write nothing more."""
        if self.feeds is not None:
            self.feeds.abandon()
