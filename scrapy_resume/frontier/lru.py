"""Bounded caches of what was used lately, in two generations."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

GENERATION_SIZE: Final = 16_384
"""Entries of a generation. Two generations of 20-byte identities take about 3 MB."""

K = TypeVar("K")
V = TypeVar("V")


class RecentMap(Generic[K, V]):
    """Keeps the last ``generation_size`` entries that were put or read, to twice as many."""

    def __init__(self, generation_size: int = GENERATION_SIZE) -> None:
        self._generation_size = generation_size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Add an entry. When the young generation is full, the old one is discarded."""
        if len(self._young) >= self._generation_size:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def get(self, key: K) -> V | None:
        """The value of a key; ``None``: it was never put, or has been discarded."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value


class RecentSet(RecentMap[bytes, bool]):
    """Identities that were added lately.

    It may forget an identity, but never contains one that was not added: so no URL is lost through
    it.
    """

    def add(self, identity: bytes) -> None:
        """Add an identity."""
        self.put(identity, True)

    def __contains__(self, identity: bytes) -> bool:
        return self.get(identity) is not None
