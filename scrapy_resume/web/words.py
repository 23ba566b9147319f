"""How texts, numbers and times are written on pages. No I/O."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from scrapy_resume import wording
from scrapy_resume.reporting import progress
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
    lines = masked_text(str(value)).split("\n")
    return "\n".join(map(wording.escaped_controls, lines))


def web_address(url: Any) -> str | None:
    """A URL that may be linked to; ``None``: it is of another kind (``javascript:``)."""
    text = shown(url)
    try:
        scheme = urlsplit(text).scheme.lower()
    except ValueError:
        return None
    return text if scheme in LINKED and text == text.strip() else None


def first_up(text: str) -> str:
    """With a capital letter first; the others stay (``URL``)."""
    return text[:1].upper() + text[1:]


def number(amount: float | None) -> str:
    """``12000`` → ``12,000``; a dash for ``None``, here and below."""
    return NOTHING if amount is None else wording.number(amount)


def rate(per_minute: float | None) -> str:
    """One decimal below 100, none above."""
    return NOTHING if per_minute is None else wording.rate(per_minute)


def percent(share: float | None) -> str:
    """``0.982`` → ``98.2%``; only a whole is 100%."""
    return NOTHING if share is None else progress.percent(share)


def duration(seconds: float | None) -> str:
    """``95`` → ``1 min 35 s``."""
    return NOTHING if seconds is None else wording.duration(max(0.0, seconds))


def latency(seconds: float) -> str:
    """``0.0213`` → ``21 ms``, ``4.25`` → ``4.3 s``."""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def short(text: Any, longest: int) -> str:
    """A text on one line, of at most so many characters: one that was cut ends with an ellipsis."""
    line = " ".join(shown(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"
