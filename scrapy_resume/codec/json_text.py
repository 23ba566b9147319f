"""JSON text, and the fast path for values that JSON represents unchanged."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from scrapy_resume.codec.unserializable import UnserializableError
from scrapy_resume.errors import StoreDamagedError

MAX_DEPTH = 200
"""Levels of nesting. Reading takes two stack frames a level, of Python's limit of 1,000."""

LONGEST_TEXT = 1 << 26
"""Characters of a record; see ``store.sqlite.files.LARGEST_RECORD``."""

TAG_MARK = '"$'
"""Occurs in every text in which a key begins with ``$``, and seldom in others."""


def refuse_long(text: str) -> str:
    """The text. Raises UnserializableError if it is longer than a record may be."""
    if len(text) > LONGEST_TEXT:
        raise UnserializableError(
            f"takes {len(text):,} characters, and {LONGEST_TEXT:,} are the most that are stored; "
            "keep it in a file, and the file's name instead"
        )
    return text


_SCALARS = frozenset({str, int, bool, type(None)})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def dumps(tree: Any) -> str:
    """Compact JSON. Raises ValueError for lone surrogates and integers of too many digits."""
    return _encode(tree).decode()


def loads(text: str) -> Any:
    """The tree. Raises StoreDamagedError if the text is not JSON."""
    try:
        return _decode(text)
    except RecursionError as error:
        raise StoreDamagedError(
            f"a record in the store is nested deeper than any that is written: {text[:80]!r}; "
            "restore the job from a backup, or begin a new one"
        ) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise StoreDamagedError(
            f"a record in the store is not valid JSON ({error}): {text[:80]!r}; "
            "restore the job from a backup, or begin a new one"
        ) from error


def is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether JSON represents the value unchanged. Types are compared exactly: msgspec also writes
    a tuple, a date or an enum, but would read another type back.
    """
    kind = type(value)
    if kind is dict and depth >= 0:
        for key, part in value.items():
            if type(key) is not str:
                return False
            if type(part) not in _SCALARS and not is_plain(part, depth - 1):
                return False
        return True
    if kind is list and depth >= 0:
        if _SCALARS.issuperset(map(type, value)):
            return True
        for part in value:  # noqa: SIM110 -- a generator would be a frame more for each level
            if not is_plain(part, depth - 1):
                return False
        return True
    return kind in _SCALARS or (kind is float and math.isfinite(value))


def plain_text(value: Any) -> str | None:
    """The JSON text of a plain value; ``None`` if a part of the value needs a tag, or a key looks
    like one.
    """
    if not is_plain(value):
        return None
    try:
        text = dumps(value)
    except (ValueError, RecursionError):
        # Lone surrogates, and integers of more digits than Python converts.
        return None
    return None if TAG_MARK in text else text
