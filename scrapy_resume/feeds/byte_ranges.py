"""Arithmetic on ranges of bytes in a file: union, difference, overlap, shift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""The offset of the first byte, and the offset after the last."""


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Merge adjacent ranges and drop empty ones. The ranges must be sorted and disjoint."""
    result: list[Range] = []
    for start, end in ranges:
        if start >= end:
            continue
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


def minus(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """The bytes of ``ranges`` that are in none of the ``others``. ``ranges`` must be sorted."""
    rest = [(start, end) for start, end in ranges if start < end]
    for low, high in others:
        rest = [
            part
            for start, end in rest
            for part in ((start, min(end, low)), (max(start, high), end))
            if part[0] < part[1]
        ]
    return rest


def within(ranges: Iterable[Range], size: int) -> list[Range]:
    """The part of the ranges that lies within a file of ``size`` bytes."""
    return [(start, min(end, size)) for start, end in ranges if start < size]


def first_of(ranges: Iterable[Range], count: int) -> list[Range]:
    """The first ``count`` bytes of the ranges."""
    result = []
    for start, end in ranges:
        result.append((start, min(end, start + count)))
        count -= min(count, end - start)
    return joined(result)


def overlap(ranges: Iterable[Range], others: Sequence[Range]) -> bool:
    """Whether at least one byte is in both."""
    return any(start < high and low < end for start, end in ranges for low, high in others)


def moved(ranges: Iterable[Range], drop: Sequence[Range], inserted: int) -> list[Range]:
    """Where the ranges are after the bytes of ``drop`` were removed from the file and ``inserted``
    bytes were put where the first of them had been.

    If ``drop`` is empty nothing moves, because new bytes are then appended.
    """
    if not drop:
        return list(ranges)
    result = []
    for start, end in minus(ranges, drop):
        gone = sum(min(high, start) - low for low, high in drop if low < start)
        shift = (inserted if start >= drop[0][0] else 0) - gone
        result.append((start + shift, end + shift))
    return joined(result)


def gaps_of(ranges: Sequence[Range]) -> list[Range]:
    """What lies between the ranges, which must be sorted."""
    return minus([(ranges[0][0], ranges[-1][1])], ranges) if ranges else []


def place_after(offset: int, drop: Sequence[Range], inserted: int) -> int:
    """Where an offset is after ``drop`` was removed and replaced, as in ``moved``."""
    if not drop:
        return offset
    gone = sum(min(high, offset) - low for low, high in drop if low < offset)
    return offset - gone + (inserted if offset >= drop[0][0] else 0)
