"""The change log of a job: what it has given and taken back, for those who follow it.

A follower (a database that is a feed) keeps a position, and asks for the changes after it.
Whatever is
asked for at one moment is true at that moment: an item that is put is visible, and one that is
taken
back has not come back. So a follower that applies portion after portion has what the job has, in
whatever order workers have committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from scrapy_resume.model import digest


class LogMark(NamedTuple):
    """How far a follower has come: with the changes up to an id, in one sequence of commits."""

    run: int
    """The run that has made the last of these commits, or might have."""
    started_at: float
    """When it began: a run of another history, such as one after an older backup, began at
    another time."""
    id: int
    number: int = 0
    """Where what was taken back has numbers of its own: up to that one."""
    commits: int = 0
    """Where each run has a sequence of its own: how many commits it had made; negative: more of
    them is to be read."""


class Change(NamedTuple):
    """An item that has become visible, or was taken back."""

    id: int
    """Of this change: never used twice in a job, whatever becomes of the item."""
    request: int
    occurrence: int
    key: str | None
    payload: str | None
    """``None``: it was taken back, and nothing has taken its place."""

    @property
    def item(self) -> str:
        """What the item is called over its updates; ASCII, of at most 41 characters."""
        if self.key is None:
            return f"{self.request}.{self.occurrence}"
        return f"k{digest(self.key.encode('utf-8', 'surrogatepass')).hex()}"


class ChangePortion(Struct, frozen=True):
    """Some changes, in order."""

    changes: Sequence[Change]
    position: tuple[LogMark, ...]
    """Where the next portion begins."""
    more: bool
    """Others follow at once."""


class ChangeLog(Protocol):
    """The log of one job."""

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position; an empty one is the beginning."""

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Those of the items with these ids that are visible."""

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this history. If not, a follower has changes that this job
        has not made: it was restored from an older backup."""
