"""What many requests have in common, kept once: a page's links mostly differ in their URL alone."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

REMEMBERED: Final = 2_000
"""Shared payloads whose ids are in memory; one that is forgotten is written once more."""

SHORTEST: Final = 16
"""Characters below which the reference would be as long."""


class SharedPayloads:
    """Gives out the ids of payloads that came more than once, of late or in one batch."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last_id = 0
        """The highest id that was given out."""

    def begin(self, last_id: int) -> None:
        """A transaction has begun; so far the store has payloads up to that id. What was added
        in one that was rolled back is not there, and its id will be another one's."""
        if self._last_id > last_id:
            self._ids = OrderedDict(pair for pair in self._ids.items() if pair[1] <= last_id)
        self._last_id = last_id

    def ids(self, texts: Sequence[str], add: Callable[[str], int]) -> dict[str, int]:
        """The ids of those of a batch's payloads that are shared; ``add`` writes a new one."""
        found = {}
        for text, times in Counter(texts).items():
            number = self._ids.get(text)
            if number is not None:
                self._ids.move_to_end(text)
            elif times > 1 and len(text) >= SHORTEST:
                number = self._ids[text] = self._last_id = add(text)
            else:
                continue
            found[text] = number
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return found
