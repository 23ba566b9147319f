"""How numbers, durations, statuses and tables are written for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scrapy_resume.commands.terminal_output import printable
from scrapy_resume.settings.masking import masked_text


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with aligned columns; the last column is not padded. The cells are made printable, so
    that the columns stay aligned."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def one_line(error: Exception) -> str:
    """An error's message as one printable line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return printable(" ".join(text.split()) or type(error).__name__)


def shortened(message: str | None, longest: int) -> str:
    """An error's message on one line, without passwords, of at most ``longest`` characters: what
    was cut ends with dots."""
    line = " ".join(masked_text(message or "").split())
    return line if len(line) <= longest else f"{line[: longest - 3].rstrip()}..."


def error_of(row: Mapping[str, Any], longest: int) -> str:
    """``HttpError: HTTP 503 Service Unavailable``: class, HTTP status and message of what failed,
    from a request's document or that of a group of requests."""
    message, status = shortened(row["error_message"], longest), row["http_status"]
    named = f"HTTP {status}" if status else ""
    if named and not message.startswith(named):
        message = f"{named} {message}".rstrip()
    return f"{row['error'] or '-'}: {message}".removesuffix(": ")


def status_with_reason(answer: Mapping[str, Any]) -> str:
    """``paused (shutdown)``: a job's status from its document of ``status --json``."""
    status: str = answer["status"]
    return f"{status} ({answer['reason']})" if answer["reason"] else status


def job_name_of(answer: Mapping[str, Any]) -> str:
    """``books#3``, from a document of ``status --json``."""
    return f"{answer['job']}#{answer['number']}"


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
