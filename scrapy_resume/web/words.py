"""How texts, numbers and times are written on pages. No I/O."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final
from urllib.parse import urlsplit

from scrapy_resume.settings.masking import masked_text

NOTHING: Final = "\N{EN DASH}"
"""In the place of a number or a time that is not known."""

LINKED: Final = ("http", "https")
"""Schemes of URLs that a page links to."""


def shown(value: Any) -> str:
    """A text from anywhere as it may stand on a page: passwords in URLs are masked; control
    characters, and those that turn or hide text, are written as escapes. ``None`` is empty."""
    if value is None:
        return ""
    text = masked_text(str(value))
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def web_address(url: Any) -> str | None:
    """A URL that may be linked to; ``None``: it is of another kind (``javascript:``)."""
    text = shown(url)
    try:
        scheme = urlsplit(text).scheme.lower()
    except ValueError:
        return None
    return text if scheme in LINKED and text == text.strip() else None


def number(amount: float | None) -> str:
    """``12000`` → ``12,000``; a dash for ``None``."""
    return NOTHING if amount is None else f"{amount:,.0f}"


def rate(per_minute: float | None) -> str:
    """One decimal below 100, none above; a dash for ``None``."""
    if per_minute is None:
        return NOTHING
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.1f}"


def percent(share: float | None) -> str:
    """``0.982`` → ``98.2%``; only a whole is 100%."""
    if share is None:
        return NOTHING
    text = f"{100 * share:.1f}%"
    return "99.9%" if text == "100.0%" and share < 1 else text


def duration(seconds: float | None) -> str:
    """``95`` → ``1 min 35 s``, ``3725`` → ``1 h 2 min``, ``200_000`` → ``2 d 7 h``."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    hours, minutes = divmod(round(whole / 60), 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def ago(seconds: float) -> str:
    """``200`` → ``3 min ago``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now" if seconds < 5 else f"{seconds:.0f} s ago"


def short(text: Any, longest: int) -> str:
    """A text on one line, cut in the middle of nothing: what was cut ends with a dot of dots."""
    line = " ".join(shown(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def clock(seconds: float) -> str:
    """``2024-05-01 10:00`` in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
