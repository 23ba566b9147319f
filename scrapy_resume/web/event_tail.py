"""The last events of a job, without reading its whole log."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from scrapy_resume.events.action_log import read_actions
from scrapy_resume.events.log_files import segments
from scrapy_resume.model import JobKey
from scrapy_resume.privatefiles import open_to_read

TAIL_BYTES: Final = 512 * 1024
"""Read of the end of a file: some two thousand events."""
LARGEST_UNPACKED: Final = 64 << 20
"""Bytes of a compressed file that are unpacked at most; the log's own are a quarter of that."""
RUNS_AT_MOST: Final = 8


def last_events(
    directory: Path, key: JobKey, count: int, types: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The last events by time, the newest first, at most ``count``; those of these ``types``, or
    of all. Looks at the ends of the last files of the last runs only."""
    wanted = frozenset(types)
    found = _chosen(read_actions(directory, key), wanted)
    last_of_run = {segment.run: segment.path for segment in segments(directory, key)}
    for run in sorted(last_of_run, reverse=True)[:RUNS_AT_MOST]:
        found += _chosen(_events_of(_end_of(last_of_run[run])), wanted)
        if len(found) >= count:
            break
    return sorted(found, key=lambda event: str(event.get("time", "")), reverse=True)[:count]


def has_log(directory: Path, key: JobKey) -> bool:
    """Whether any run of the job has written its events."""
    return bool(segments(directory, key))


def _chosen(events: Iterable[dict[str, Any]], wanted: frozenset[str]) -> list[dict[str, Any]]:
    return [event for event in events if not wanted or event.get("type") in wanted]


def _events_of(lines: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # torn by a power cut
        if isinstance(event, dict):
            yield event


def _end_of(path: Path) -> list[bytes]:
    """The last whole lines of a file."""
    try:
        with open_to_read(path) as file:
            if path.suffix == ".gz":
                text = gzip.GzipFile(fileobj=file).read(LARGEST_UNPACKED)
                size, text = len(text), text[-TAIL_BYTES:]
            else:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read()
    except (OSError, EOFError, zlib.error):
        return []  # damaged; or compressed, or deleted, meanwhile
    return text.split(b"\n")[1 if size > TAIL_BYTES else 0 : -1]
