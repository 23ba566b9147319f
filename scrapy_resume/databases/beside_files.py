"""Feeds that are databases beside feeds that are files. Imports no driver, so every crawl may have
it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Batch, Committed, FeedNote

NOTE_BEGINS: Final = '{"database":'
"""Records of feeds that are databases, among those of files."""


def is_of_database(note: FeedNote) -> bool:
    """Whether a note of the store is of a feed that is a database."""
    return note.record.startswith(NOTE_BEGINS)


class FeedsTogether:
    """Feeds of files and of databases as one; see ``events.commit_listeners.Feeds``."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def knows(self, name: str) -> bool:
        """Whether the name that a feed is noted by in the store is that of one of them."""
        return any(part.knows(name) for part in self._parts)

    def complete(self, batch: Batch) -> None:
        """Add the feeds' records to a batch that is about to be sent to the store."""
        for part in self._parts:
            part.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        for part in self._parts:
            part.committed(batch, answer)

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver all feeds. Returns whether each of them is complete."""
        return all([await part.close(timeout_seconds) for part in self._parts])

    async def leave(self, timeout_seconds: float) -> bool:
        """Leave the job while other workers go on with it."""
        return all([await part.leave(timeout_seconds) for part in self._parts])

    def abandon(self) -> None:
        """Write nothing more, because the run ends at once."""
        for part in self._parts:
            part.abandon()

    def undelivered(self) -> dict[str, Exception | None]:
        """The feeds that are not delivered, and why."""
        return {name: error for part in self._parts for name, error in part.undelivered().items()}

    def save_without_notes(self) -> None:
        """The feeds are delivered, and the job is about to be completed."""
        for part in self._parts:
            part.save_without_notes()

    def remove_notes(self) -> None:
        """Remove the ownership notes beside files, after that batch was committed."""
        for part in self._parts:
            part.remove_notes()
