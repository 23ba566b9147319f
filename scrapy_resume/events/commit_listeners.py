"""The feeds and the listeners of a run, which are notified of each commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

if TYPE_CHECKING:
    from scrapy_resume.model import Counts
    from scrapy_resume.store.contract import Batch, Committed, Session
    from scrapy_resume.tracking.tracker import Tracker


class Feeds(Protocol):
    """The feeds of a run."""

    def knows(self, name: str) -> bool:
        """Whether the name that a feed is noted by in the store is that of one of them."""

    def complete(self, batch: Batch) -> None:
        """Add the feeds' records to a batch that is about to be sent to the store."""

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver all feeds. Returns whether each of them is complete."""

    async def leave(self, timeout_seconds: float) -> bool:
        """Leave the job while other workers go on with it: deliver this run's own parts only.
        Returns whether the parts are complete."""

    def abandon(self) -> None:
        """Write nothing more, because the run ends at once."""

    def undelivered(self) -> dict[str, Exception | None]:
        """The feeds that are not delivered, by their URIs with parameters unfilled, and why:
        ``None`` if the run ends at once."""

    def save_without_notes(self) -> None:
        """Add records that need no ownership notes to the next batch: the feeds are delivered,
        and the job is about to be completed."""

    def remove_notes(self) -> None:
        """Remove the ownership notes beside the files, after that batch was committed."""


class CommitListener(Protocol):
    """Is notified of what the store has committed. Its methods must not raise and not block.

    The calls come in the order of the commits, in the event loop; those of a forced shutdown on
    the store thread.
    """

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        """The end of the run was committed. ``status`` is the new status of the job, ``counts``
        are those of the whole job, ``pages`` are the responses of this run."""

    def end(self) -> None:
        """No call follows. ``closed`` was not called if the end could not be committed."""


class CommitListeners:
    """Notifies the feeds and the listeners of one run."""

    def __init__(self, session: Session, tracker: Tracker) -> None:
        self._shared = session.sharing.shared
        self._tracker = tracker
        self._feeds: Feeds | None = None
        self._listeners: list[CommitListener] = []

    @property
    def feeds(self) -> Feeds | None:
        """The feeds of the run. ``None``: it has none."""
        return self._feeds

    def attach_feeds(self, feeds: Feeds) -> None:
        """Notify these feeds, from the next batch on."""
        self._feeds = feeds

    def add(self, listener: CommitListener) -> None:
        """Notify this listener, from the next commit on."""
        self._listeners.append(listener)

    def complete(self, batch: Batch) -> None:
        """Add the feeds' records to a batch that is about to be sent to the store."""
        if self._feeds is not None:
            self._feeds.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        if self._feeds is not None:
            self._feeds.committed(batch, answer)
        for listener in self._listeners:
            listener.committed(batch, answer)

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """A forced shutdown has closed the job. The feeds are abandoned by then, so only the
        listeners are notified. ``answer`` is ``None`` if the batch was not committed."""
        counts = self._tracker.counts if answer is None else answer.counts
        for listener in self._listeners:
            if answer is not None:
                listener.committed(batch, answer)
        self.ended(status, reason, counts)

    def ended(self, status: str | None, reason: str, counts: Counts) -> None:
        """The run has ended. ``status`` is the new status of the job; ``None``: the end could not
        be committed."""
        if not self._shared:
            # Closing the job releases all leases. (In a shared store other workers hold some.)
            counts = replace(counts, pending=counts.open, leased=0)
        for listener in self._listeners:
            if status is not None:
                listener.closed(status, reason, counts, self._tracker.pages)
            listener.end()

    def abandon_feeds(self) -> None:
        """Have the feeds write nothing more, because the run ends at once."""
        if self._feeds is not None:
            self._feeds.abandon()
