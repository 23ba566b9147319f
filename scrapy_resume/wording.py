"""How counts are written in log lines and on screens. No I/O."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 job``, ``2 jobs``, ``1,200 requests``: a noun whose plural ends in ``s``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def counted_are(count: int, noun: str) -> str:
    """``1 request is``, ``2 requests are``."""
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"
