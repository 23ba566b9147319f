"""Deduplication in memory, before the store is asked.

An identity that is unknown here may be known to the store. One that is known here is a duplicate.
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
    from collections.abc import Callable, Sequence

    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.settings.queue_order import QueueOrder


class DupeFilter:
    """Knows the identities that arrived lately, and those that rows in memory have reserved."""

    def __init__(
        self, run: int, order: QueueOrder, fingerprint: Callable[[Request], bytes]
    ) -> None:
        self._run = run
        self._dedupe = order.dedupe
        self.fingerprint = fingerprint
        self._recent = RecentSet()
        self._in_memory: set[bytes] = set()
        self._lasting_keys: dict[bytes, bytes] = {}
        """By identity: keys of requests that are fetched in every run, until their row takes
        them."""
        self._fetched_every_run: set[bytes] = set()
        """Identities, as they would be in any run, of requests that are fetched in every run: an
        ordinary request for the same page is a duplicate. There are only a few."""

    def filters(self, request: Request) -> bool:
        """Whether a request is deduplicated by its fingerprint."""
        return self._dedupe and not request.dont_filter

    def page_identity(self, identity: bytes, request: Request) -> bytes | None:
        """The identity of an ordinary request for the same page; ``None``: this request is not
        ordinary. ``identity`` is that of its row."""
        if not self._dedupe:
            return None
        page = ordinary_identity(self.fingerprint(request))
        # A retry of an ordinary request has dont_filter too. (The target of a redirect of a retry
        # is not recognized, and may be fetched once more.)
        return page if page == identity or not request.dont_filter else None

    def of_unfiltered(
        self, parent: Row | None, distinctions: Sequence[bytes], *, every_run: bool
    ) -> tuple[list[bytes], bool]:
        """(identities, whether the store counts equal ones) of a request with ``dont_filter``: its
        own, then others by which it may be known too.

        ``parent``: the row that yielded it; ``None``: unknown. ``distinctions``: what is equal for
        requests that only their order tells apart, for each identity.
        """
        if parent is None:
            # No replay yields it again, so each one is a new request.
            return [os.urandom(20)], False
        if every_run:
            base, occurrence = parent.next_occurrence(distinctions[0], b"every run")
            return [self.in_this_run(occurrence_identity(base, occurrence))], False
        if parent.id == START or parent.kind is Kind.start_item:
            # The store counts equal items of start(), and the equal requests of these, too.
            return [child_identity(parent.key, one) for one in distinctions], True
        return [occurrence_identity(*parent.next_occurrence(one)) for one in distinctions], False

    def has(self, identity: bytes, *, skippable: bool = False) -> bool:
        """Whether an identity is known here. ``skippable``: a delta crawl may skip the request, so
        it is known too if one that could be skipped has arrived."""
        return (
            identity in self._recent
            or identity in self._in_memory
            or identity in self._fetched_every_run
            or (skippable and skipped_identity(identity) in self._recent)
        )

    def holds(self, identity: bytes) -> bool:
        """Whether only this process knows a request with the identity; it must not run twice."""
        return identity in self._in_memory or identity in self._fetched_every_run

    def in_this_run(self, lasting: bytes) -> bytes:
        """The identity, in this run, of a request that is fetched in every run. ``lasting`` is its
        identity in any run, which becomes the key of its row."""
        identity = digest(b"every run", self._run.to_bytes(8, "big"), lasting)
        self._fetched_every_run.add(lasting)
        if identity not in self._recent and identity not in self._in_memory:
            self._lasting_keys[identity] = lasting
        return identity

    def set_lasting_key(self, identity: bytes, key: bytes) -> None:
        """The key of a request that is fetched in every run, if it is not its lasting identity."""
        if identity in self._lasting_keys:
            self._lasting_keys[identity] = key

    def redirected_in_this_run(self, lasting: bytes) -> bytes:
        """The identity, in this run, of the target of a redirect of such a request. The row keeps
        its key."""
        identity = self.in_this_run(lasting)
        self._lasting_keys.pop(identity, None)
        return identity

    def lasting_key(self, identity: bytes) -> bytes | None:
        """Take out the key of a request that is fetched in every run; ``None``: it is not such a
        request."""
        return self._lasting_keys.pop(identity, None)

    def add(self, identity: bytes) -> None:
        """A request with the identity is on its way to the store."""
        self._recent.add(identity)

    def reserve(self, row: Row, identity: bytes) -> None:
        """Reserve an identity for a row that runs from memory. The store does not know it yet."""
        row.memory_identities.append(identity)
        self._in_memory.add(identity)

    def cancel_reservations(self, row: Row) -> None:
        """Make the identities that a row has reserved unknown again."""
        self._in_memory.difference_update(row.memory_identities)
        row.memory_identities.clear()

    def ended(self, row: Row) -> None:
        """A row has ended. The store gets its reserved identities with its finish."""
        for identity in row.memory_identities:
            self._in_memory.discard(identity)
            self._recent.add(identity)
