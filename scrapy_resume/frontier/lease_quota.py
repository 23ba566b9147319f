"""How many rows a run keeps leased: enough to keep it busy, and no more where others want some.

A run that has its slots to itself leases ahead, so that the engine never waits for the store. Where
several workers lease from the same slots, a row that one of them holds without sending it is
missing to the others. There the quota is what the downloader would send at once, and what it is
about to send until the store can have answered, by its pace of late. While another worker looks for
requests in vain, it is the former alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.ports.engine import Engine, Room

MINIMUM_BUFFER: Final = 16
"""Rows that a run alone keeps leased at least, if there are so many."""

AHEAD_SECONDS: Final = 0.2
"""Of what is sent in this time, all but one row is leased ahead: an answer of the store takes that
long where the commit before it has to be waited for. A worker that sends a row or two in it leases
nothing ahead, and waits for the store as it does where requests are sent one by one."""

PACE_SECONDS: Final = 1.0
"""The pace is that of the last interval of this length."""

YIELD_SECONDS: Final = 2.0
"""How long nothing is leased ahead after another worker has looked in vain: so that leases do not
go back and forth while little is open."""


class LeaseQuota:
    """The number of rows to keep leased, as of the last ``refresh``."""

    def __init__(self, concurrency: int, engine: Engine, clock: Clock) -> None:
        self.size = max(MINIMUM_BUFFER, 2 * concurrency)
        """Number of rows that a run alone keeps leased, about."""
        self.limited = False
        """Other workers lease from the same slots."""
        self.room: Room
        """What the downloader would send at once."""
        self._engine = engine
        self._clock = clock
        self._yields_until = 0.0
        self._pace = 0.0
        """Rows a second."""
        self._taken = 0
        self._since = 0.0
        self.refresh()

    def set_others(self, others: int, *, one_starves: bool) -> None:
        """So many other workers are at work on the same slots. ``one_starves``: one of them looks
        for requests in vain."""
        self.limited = others > 0
        if one_starves and self.limited:
            self._yields_until = self._clock.monotonic() + YIELD_SECONDS

    @property
    def yields(self) -> bool:
        """Whether leased rows that cannot be sent at once go back, for another worker."""
        return self.limited and self._clock.monotonic() < self._yields_until

    def taken(self) -> None:
        """A leased row is about to be sent."""
        self._taken += 1

    def refresh(self) -> None:
        """Look at the downloader, and at the time."""
        self.room = self._engine.room()
        now = self._clock.monotonic()
        if now - self._since >= PACE_SECONDS:
            self._pace = self._taken / (now - self._since)
            self._taken, self._since = 0, now

    @property
    def ahead(self) -> int:
        """Number of rows to lease beyond those that can be sent at once."""
        if self.yields:
            return 0
        now = self._clock.monotonic()
        current = self._taken / max(now - self._since, PACE_SECONDS)
        return max(0, int(max(self._pace, current) * AHEAD_SECONDS) - 1)

    @property
    def total(self) -> int:
        """Number of rows to keep leased in all."""
        return min(self.size, max(0, self.room.total) + self.ahead)

    def depth(self, slot: str) -> int:
        """Number of rows to keep leased in one slot's queue."""
        sendable = max(0, min(self.room.of(slot), self.room.total))
        return min(self.size, sendable + self.ahead)

    def depth_of_all(self) -> int:
        """The same where one queue has the rows of all slots. Which slot comes next is unknown, so
        it is the most that one of the active slots has room for; if all are full, one row may be of
        another slot."""
        room = self.room
        if room.total <= 0:
            return self.ahead
        best = max((room.of(slot) for slot in room.active), default=room.total)
        least = 0 if self.yields else 1
        return min(self.size, max(least, min(best, room.total)) + self.ahead)

    def full_slots(self) -> Collection[str]:
        """The active slots that would send nothing more at once."""
        return [slot for slot in self.room.active if self.room.of(slot) <= 0]
