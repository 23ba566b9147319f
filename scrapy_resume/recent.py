"""A small memory of what was admitted lately: it saves encoding and look-ups, no more."""

from __future__ import annotations

from typing import Final

GENERATION_SIZE: Final = 16_384
"""Two generations of 20-byte identities take about 3 MB."""


class RecentSet:
    """Remembers the last ``GENERATION_SIZE`` to twice as many identities that were added.

    It never says that something was added that was not: a URL can't be lost through it.
    """

    def __init__(self, generation_size: int = GENERATION_SIZE) -> None:
        self._generation_size = generation_size
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def add(self, identity: bytes) -> None:
        """Remember an identity; the oldest generation is forgotten when the young one is full."""
        if len(self._young) >= self._generation_size:
            self._old = self._young
            self._young = set()
        self._young.add(identity)

    def __contains__(self, identity: bytes) -> bool:
        if identity in self._young:
            return True
        if identity in self._old:
            self.add(identity)
            return True
        return False
