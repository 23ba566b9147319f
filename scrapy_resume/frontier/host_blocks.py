"""Hosts to which nothing may be dispatched now, or only one probe."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy_resume.frontier.slot_queue import may_leave

if TYPE_CHECKING:
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.frontier.slot_queue import SlotQueue


class HostBlocks:
    """Blocked hosts and probed hosts; no host is both.

    A host is a download slot. Where one queue has the rows of all slots, it is the URL's host.
    """

    def __init__(self, *, by_slot: bool) -> None:
        self._by_slot = by_slot
        self.blocked: set[str] = set()
        """Hosts to which nothing may be dispatched."""
        self.probed: set[str] = set()
        """Hosts to which one row may be dispatched, as a probe."""

    def host_of(self, row: Row) -> str:
        """The host of a row."""
        return row.slot if self._by_slot else urlsplit(row.url).hostname or ""

    @property
    def has_any(self) -> bool:
        """Whether there are blocked or probed hosts."""
        return bool(self.blocked or self.probed)

    def is_open(self, host: str) -> bool:
        """Whether any number of rows may be dispatched to a host."""
        return host not in self.blocked and host not in self.probed

    def block(self, host: str) -> bool:
        """Dispatch nothing to a host. Returns whether that is new."""
        self.probed.discard(host)
        if host in self.blocked:
            return False
        self.blocked.add(host)
        return True

    def unblock(self, host: str) -> bool:
        """Dispatch to a host again. Returns whether it was blocked."""
        self.probed.discard(host)
        if host not in self.blocked:
            return False
        self.blocked.discard(host)
        return True

    def claim_probe(self, row: Row) -> bool:
        """Whether a row that is dispatched is the probe of its host; no other one may be then."""
        host = self.host_of(row) if self.probed else ""
        if host not in self.probed:
            return False
        self.probed.discard(host)
        return True

    def split(self, queue: SlotQueue) -> tuple[list[Row], set[Row]]:
        """Take out of the one queue of all hosts the rows that may not be dispatched.

        Returns (rows taken out, all rows that may not be dispatched): of these, some must stay in
        the queue, since they have to run in this process.
        """
        taken: list[Row] = []
        closed: set[Row] = set()
        if self._by_slot:
            return taken, closed
        kept = []
        probing: set[str] = set()
        for entry in queue.rows:
            row = entry[1]
            host = self.host_of(row)
            may_go = host not in self.blocked and host not in probing
            if may_go or not may_leave(row):
                kept.append(entry)
            else:
                taken.append(row)
            if not may_go:
                closed.add(row)
            if host in self.probed:
                probing.add(host)
        if taken:
            queue.rows[:] = kept
        return taken, closed
