"""How numbers, durations, statuses and tables are written for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scrapy_resume.commands.terminal_output import printable
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.wording import duration as duration
from scrapy_resume.wording import number as number
from scrapy_resume.wording import rate as rate


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
