"""What people have done to a job in the dashboard: a JSON Lines file beside the event log.

``books#3.actions.jsonl``: an action has the type ``action``, and says what was done, with which
filters, to how many requests, and by whom.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from scrapy_resume.disk import make_directories
from scrapy_resume.model import JobKey
from scrapy_resume.privatefiles import open_to_read
from scrapy_resume.store.sqlite.files import quoted

ACTION: Final = "action"
"""The type of these events. Their run is 0: it was done in the dashboard, not in a run."""

READ_BYTES: Final = 1 << 20
"""Of the end of the file."""


def actions_path(directory: Path, key: JobKey) -> Path:
    """The file of a job."""
    return directory / f"{quoted(key.name)}#{key.number}.actions.jsonl"


def add_action(directory: Path, key: JobKey, worker: str, fields: Mapping[str, Any]) -> None:
    """Write an action down. ``worker``: ``host:pid`` of the dashboard. Raises ``OSError``."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"time": now, "type": ACTION, "job": str(key), "run": 0, "worker": worker, **fields}
    line = f"{json.dumps(event)}\n".encode()
    if not directory.is_dir():
        make_directories(directory, mode=0o700)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(actions_path(directory, key), flags, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read_actions(directory: Path, key: JobKey) -> Iterator[dict[str, Any]]:
    """The last actions, by time. Lines that are torn are skipped."""
    try:
        with open_to_read(actions_path(directory, key)) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - READ_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return
    for line in lines[1 if size > READ_BYTES else 0 :]:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
