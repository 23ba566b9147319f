"""How counts are written in log lines and on screens. No I/O."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{count} {plural(count, noun)}"


def counted_are(count: int, noun: str) -> str:
    """``1 request is``, ``2 requests are``."""
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"


def plural(count: int, noun: str) -> str:
    """The noun, with an ``s`` unless it is one."""
    return noun if count == 1 else f"{noun}s"
