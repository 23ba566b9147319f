"""Writes requests to a file: CSV for spreadsheets, JSON or JSON Lines for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

FORMATS: Final = {".csv": "csv", ".json": "json", ".jsonl": "jsonlines", ".jl": "jsonlines"}


class Frame(NamedTuple):
    """The text around and between the requests of a file, and its content without any."""

    before: str
    between: str
    after: str
    empty: str


_FRAMES: Final = {
    "json": Frame("[\n", ",\n", "\n]\n", "[]\n"),
    "jsonlines": Frame("", "\n", "\n", ""),
}
_BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def format_of(target: str) -> str:
    """The format by the file's extension. Raises ``ValueError`` for any other extension."""
    found = FORMATS.get(Path(target).suffix.lower())
    if found is None:
        raise ValueError(f"{target}: the name must end with one of {', '.join(FORMATS)}")
    return found


def write(file: IO[bytes], format_name: str, requests: Iterable[dict[str, Any]]) -> int:
    """Write the requests one by one, in constant memory; returns how many there were."""
    text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    frame = _FRAMES.get(format_name)
    count = _write_csv(text, requests) if frame is None else _write_json(text, requests, frame)
    text.flush()
    text.detach()  # the caller closes the file
    return count


def _write_csv(file: TextIOWrapper, requests: Iterable[dict[str, Any]]) -> int:
    rows = csv.writer(file)
    count = 0
    for request in requests:
        if not count:
            rows.writerow(request)
        rows.writerow(map(cell, request.values()))
        count += 1
    return count


def _write_json(file: TextIOWrapper, requests: Iterable[dict[str, Any]], frame: Frame) -> int:
    count = 0
    for request in requests:
        file.write(frame.between if count else frame.before)
        file.write(json.dumps(request))
        count += 1
    file.write(frame.after if count else frame.empty)
    return count


def cell(value: object) -> object:
    """The value for CSV: text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_BEGINS_FORMULA):
        return f"'{value}"
    return value
