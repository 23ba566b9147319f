"""A small memory of what was admitted lately: it saves encoding and look-ups, no more."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

GENERATION_SIZE: Final = 16_384
"""Two generations of 20-byte identities take about 3 MB."""

K = TypeVar("K")
V = TypeVar("V")


class RecentMap(Generic[K, V]):
    """Remembers the last ``generation_size`` to twice as many things that were put or asked for."""

    def __init__(self, generation_size: int = GENERATION_SIZE) -> None:
        self._generation_size = generation_size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Remember it; the oldest generation is forgotten when the young one is full."""
        if len(self._young) >= self._generation_size:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def get(self, key: K) -> V | None:
        """What was put; ``None``: it is not known, or not any more."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value


class RecentSet(RecentMap[bytes, bool]):
    """DupeFilter that were added lately.

    It never says that something was added that was not: a URL can't be lost through it.
    """

    def add(self, identity: bytes) -> None:
        """Remember an identity."""
        self.put(identity, True)

    def __contains__(self, identity: bytes) -> bool:
        return self.get(identity) is not None
