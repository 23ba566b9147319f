"""Which identities a run knows by itself, so that it need not ask the store.

An identity that is not known here may be known to the store; never the other way round.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scrapy_resume.frontier.lru import RecentSet
from scrapy_resume.model import (
    START,
    Kind,
    child_identity,
    digest,
    occurrence_identity,
    ordinary_identity,
    skipped_identity,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.settings.queue_order import QueueOrder


class DupeFilter:
    """Knows the identities that arrived lately, and those of rows that run from memory."""

    def __init__(
        self, run: int, order: QueueOrder, fingerprint: Callable[[Request], bytes]
    ) -> None:
        self._run = run
        self._dedupe = order.dedupe
        self.fingerprint = fingerprint
        self._recent = RecentSet()
        self._in_memory: set[bytes] = set()
        self._lasting_keys: dict[bytes, bytes] = {}
        self._fetched_every_run: set[bytes] = set()
        """Few: a link to the login is as much a duplicate as one to any other page."""

    def filters(self, request: Request) -> bool:
        """Whether a request is dropped where its fingerprint is known."""
        return self._dedupe and not request.dont_filter

    def page_of(self, identity: bytes, request: Request) -> bytes | None:
        """What an ordinary request for the same page is known by; ``None``: this one is not
        ordinary. ``identity`` is that of its row."""
        if not self._dedupe:
            return None
        page = ordinary_identity(self.fingerprint(request))
        # A retry has dont_filter too. (What a retry redirects to may be fetched once more.)
        return page if page == identity or not request.dont_filter else None

    def of_unfiltered(
        self, parent: Row | None, fingerprint: bytes, every_run: bool
    ) -> tuple[bytes, bool]:
        """(identity, counted by the store): that of a request which duplicates are not filtered
        from."""
        if parent is None:
            # Nobody yields it again after a crash: it is a new request each time.
            return os.urandom(20), False
        if every_run:
            base, occurrence = parent.next_occurrence(fingerprint, b"every run")
            return self.in_this_run(occurrence_identity(base, occurrence)), False
        if parent.id == START or parent.kind is Kind.start_item:
            # Equal items of start() are told apart by the store, and so is what they ask for.
            return child_identity(parent.key, fingerprint), True
        return occurrence_identity(*parent.next_occurrence(fingerprint)), False

    def has(self, identity: bytes, skippable: bool = False) -> bool:
        """It is known without asking the store."""
        return (
            identity in self._recent
            or identity in self._in_memory
            or identity in self._fetched_every_run
            or (skippable and skipped_identity(identity) in self._recent)
        )

    def in_this_run(self, lasting: bytes) -> bytes:
        """The identity of a request that is fetched in every run; its key stays the same."""
        identity = digest(b"every run", self._run.to_bytes(8, "big"), lasting)
        self._fetched_every_run.add(lasting)
        if identity not in self._recent and identity not in self._in_memory:
            self._lasting_keys[identity] = lasting
        return identity

    def lasting_key(self, identity: bytes) -> bytes | None:
        """Take the key of a request that is fetched in every run; ``None``: it is not."""
        return self._lasting_keys.pop(identity, None)

    def arrived(self, identity: bytes) -> None:
        """It is on its way to the store."""
        self._recent.add(identity)

    def keep(self, row: Row, identity: bytes) -> None:
        """A row has it that the store does not know of yet."""
        row.memory_identities.append(identity)
        self._in_memory.add(identity)

    def drop(self, row: Row) -> None:
        """The row's are not taken after all."""
        self._in_memory.difference_update(row.memory_identities)
        row.memory_identities.clear()

    def ended(self, row: Row) -> None:
        """A row has ended: the store knows its identities from its finish on."""
        for identity in row.memory_identities:
            self._in_memory.discard(identity)
            self._recent.add(identity)
