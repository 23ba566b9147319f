"""A claim: the bytes of a local file that one job has written, with a digest that proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrapy_resume.feeds.byte_ranges import Range


@dataclass(frozen=True)
class Claim:
    """Bytes of a local file that a job has written; other writers' bytes may lie between them."""

    ranges: Sequence[Range] = ()
    """Sorted and disjoint."""
    digest: str = ""
    """BLAKE2b of all the bytes, in hex."""
    head: str = ""
    """The first few bytes, in hex: they tell a file that was cut from somebody else's file."""

    @property
    def end(self) -> int:
        """The offset after the last byte; 0 if the claim is empty."""
        return self.ranges[-1][1] if self.ranges else 0

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(end - start for start, end in self.ranges)
