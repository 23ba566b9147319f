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


def number(amount: float) -> str:
    """``12000`` → ``12,000``."""
    return f"{amount:,.0f}"


def rate(per_minute: float | None) -> str:
    """A rate: one decimal below 100, none above; a dash for ``None``."""
    if per_minute is None:
        return "-"
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.1f}"


def duration(seconds: float) -> str:
    """``95`` → ``1 min 35 s``, ``3725`` → ``1 h 2 min``, ``200_000`` → ``2 d 7 h``.

    Seconds are shown below 10 minutes, days from 48 hours on.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def ago(seconds: float) -> str:
    """``200`` → ``3 min ago``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now" if seconds < 1 else f"{seconds:.0f} s ago"


def escaped_controls(text: str) -> str:
    """The text with control characters, and those that move or hide text, escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
