"""Delta crawls: a number of a job copies from earlier ones which requests gave items.

Each number has its own copy of the keys, so that earlier numbers can be deleted. The first
``delta`` crawl collects them from all numbers that exist; from then on each number copies those
of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def up_to_first_keeper(earlier: Iterable[tuple[T, bool]]) -> list[T]:
    """The earlier numbers to read. Given are all, the latest first, and whether each has keys.

    A number that has keys knows those of all numbers before it.
    """
    found = []
    for number, keeps in earlier:
        found.append(number)
        if keeps:
            break
    return found
