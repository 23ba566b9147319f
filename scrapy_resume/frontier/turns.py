"""The order in which download slots take turns: by name, from the one after the last on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turns:
    """A circle of slots. With many thousands of them, a step costs as much as with a few.

    Slots are inserted when they may have something, and removed when somebody who comes by sees
    that they have nothing: most have something again before that.
    """

    def __init__(self) -> None:
        self._slots: list[str] = []
        """Sorted."""
        self._known: set[str] = set()

    def add(self, slot: str) -> None:
        """A slot may have something from now on."""
        if slot not in self._known:
            self._known.add(slot)
            insort(self._slots, slot)

    def remove(self, slot: str) -> None:
        """A slot has nothing."""
        self._known.discard(slot)
        del self._slots[bisect_left(self._slots, slot)]

    def after(self, slot: str) -> Iterator[str]:
        """Once around: the slot itself comes last. Nothing may be added or removed meanwhile."""
        slots, first = self._slots, bisect_right(self._slots, slot)
        for place in chain(range(first, len(slots)), range(first)):
            yield slots[place]
