"""What a number of a job takes over from earlier ones: which requests gave items.

The keys are kept with the number itself, so that earlier ones can be deleted. The first
``delta`` crawl gathers them from all numbers that are there; from then on each number takes
over what the one before knew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def up_to_first_keeper(earlier: Iterable[tuple[T, bool]]) -> list[T]:
    """Those to read, out of the earlier numbers, the latest first, and whether they keep keys.

    One that does knows what all numbers before it gave.
    """
    found = []
    for number, keeps in earlier:
        found.append(number)
        if keeps:
            break
    return found
