"""Plain Scrapy and Scrapy with the add-on, run in turn, and the table of what they cost."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.support.measured import Cost, load
from tests.support.tables import table

HEADINGS = ("", "plain", "scrapy-resume", "ratio")

Pair = tuple[Cost, Cost]
"""(plain, with the add-on)"""

Found = TypeVar("Found")


def interleaved(count: int, crawled: Callable[[Path, bool], Found]) -> list[tuple[Found, Found]]:
    """Pairs of crawls (plain, with the add-on), each pair in a folder of its own; who goes first
    changes.

    ``crawled`` gets the folder, and whether the crawl is to be plain; it says what it found.
    """
    pairs = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            plain_first = number % 2 == 0
            found = {
                plain: crawled(Path(folder), plain) for plain in (plain_first, not plain_first)
            }
        pairs.append((found[True], found[False]))
        print(f"pair {number + 1} of {count}", file=sys.stderr, flush=True)
    return pairs


def compared(
    pairs: Sequence[Pair],
    scale: float,
    unit: str,
    before: str,
    headings: tuple[str, str, str, str] = HEADINGS,
) -> str:
    """The table; CPU seconds are multiplied by ``scale`` to be in ``unit``."""

    def whole(cost: Cost) -> float:
        return scale * cost.cpu_seconds

    def running(cost: Cost) -> float:
        return scale * cost.running_cpu_seconds

    def megabytes(cost: Cost) -> float:
        return cost.peak_bytes / 1e6

    rows = [
        _row(f"CPU {unit}, median", pairs, whole, median),
        _row(f"CPU {unit}, minimum", pairs, whole, min),
        _row("without start-up, median", pairs, running, median),
        _row("without start-up, minimum", pairs, running, min),
        _row("peak memory MB, median", pairs, megabytes, median),
    ]
    return f"{table(headings, rows)}\n{len(pairs)} pairs; {before} before, {load()} after"


def _row(
    name: str,
    pairs: Sequence[Pair],
    of: Callable[[Cost], float],
    reduce: Callable[[Sequence[float]], float],
) -> list[str]:
    plain, ours = (reduce([of(pair[side]) for pair in pairs]) for side in (0, 1))
    return [name, f"{plain:.3f}", f"{ours:.3f}", f"{ours / plain:.3f}"]
