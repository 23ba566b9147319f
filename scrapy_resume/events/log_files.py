"""The files of the event log: their names, and reading them while they are written.

Each run has files of its own: ``books#3.run-1.0001.jsonl`` and so on. A file that has grown large
is compressed (``….0001.jsonl.gz``) and the next number begins; the last one is compressed when the
run ends. The files are for people and
monitoring; the state of a job is in the store alone.
"""

from __future__ import annotations

import errno
import gzip
import heapq
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from scrapy_resume.disk import sync_directory, sync_file
from scrapy_resume.events.action_log import ACTION, actions_path, read_actions
from scrapy_resume.model import JobKey
from scrapy_resume.privatefiles import (
    create_file,
    hold_alone,
    open_existing,
    open_to_read,
    remove_abandoned,
)
from scrapy_resume.store.sqlite.files import quoted

TYPES: Final = (
    "run_started",
    "recovered",
    "request_done",
    "request_failed",
    "request_ignored",
    "retry_scheduled",
    "redirected",
    "breaker_opened",
    "breaker_closed",
    "host_waits",
    "unit_started",
    "unit_completed",
    "step_done",
    "step_failed",
    "step_skipped",
    "step_retry_scheduled",
    "item_completed",
    "start_exhausted",
    "heartbeat",
    "events_lost",
    "run_closed",
    ACTION,
)

COMPRESS_LEVEL: Final = 1
"""Gives a tenth of the size in a quarter of the time that gzip's default of 6 takes."""

_SEGMENT: Final = re.compile(r"\.run-(\d+)\.(\d+)\.jsonl(\.gz)?")


class Segment(NamedTuple):
    """One file of a run's log."""

    run: int
    number: int
    """1 for the run's first file."""
    path: Path


def segment_path(directory: Path, key: JobKey, run: int, number: int) -> Path:
    """The path of a file while it is written."""
    return directory / f"{quoted(key.name)}#{key.number}.run-{run}.{number:04}.jsonl"


def compressed_path(path: Path) -> Path:
    """The path of a file once it is compressed."""
    return path.with_name(f"{path.name}.gz")


def unfinished_path(path: Path) -> Path:
    """The path of the compressed file until it is complete."""
    return path.with_name(f"{path.name}.part")


def has_events(directory: Path, key: JobKey) -> bool:
    """Whether there is any event of the job."""
    return bool(segments(directory, key)) or actions_path(directory, key).is_file()


def segments(directory: Path, key: JobKey) -> list[Segment]:
    """The files of a job, by run and number. Empty if there is no directory.

    If a process died while it compressed a file, both forms exist: the compressed one is given.
    """
    stem = f"{quoted(key.name)}#{key.number}"
    found: dict[tuple[int, int], Path] = {}
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names:
        match = _SEGMENT.fullmatch(name.removeprefix(stem)) if name.startswith(stem) else None
        if match is not None:
            found[int(match[1]), int(match[2])] = directory / name
    return [Segment(*place, path) for place, path in sorted(found.items())]


def remove_events(directory: Path, key: JobKey) -> None:
    """Delete the log of a job, and what was done to it. Symbolic links are left alone."""
    actions = actions_path(directory, key)
    if actions.is_file() and not actions.is_symlink():
        actions.unlink(missing_ok=True)
    for segment in segments(directory, key):
        plain = segment.path.with_name(segment.path.name.removesuffix(".gz"))
        for path in (segment.path, plain, unfinished_path(plain)):
            if path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)


def remove_abandoned_parts(directory: Path, key: JobKey) -> list[Path]:
    """Remove compressed files of a job that a process which died has not completed; returns which.
    The file that was compressed is there."""
    stem = f"{quoted(key.name)}#{key.number}.run-"
    found = [path for path in directory.iterdir() if path.name.startswith(stem)]
    return [path for path in found if path.suffix == ".part" and remove_abandoned(path)]


def create_segment(path: Path) -> IO[bytes]:
    """Create a file to be written; it is locked until it is closed. Raises ``FileExistsError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    # Unlocked for a moment: another run may have taken it for a dead one's, and compressed it.
    if not hold_alone(descriptor, path):
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "it was taken for a dead run's", os.fspath(path))
    return os.fdopen(descriptor, "wb")


def compress(path: Path) -> None:
    """Replace a complete file by its compressed form. After a death in between both are there, or
    the compressed one is not complete yet and has another name."""
    unfinished = unfinished_path(path)
    with (
        open_to_read(path) as plain,
        os.fdopen(create_file(unfinished, os.O_WRONLY), "wb") as raw,
        gzip.GzipFile(path.name, "wb", COMPRESS_LEVEL, raw) as packed,
    ):
        shutil.copyfileobj(plain, packed, 1 << 20)
    sync_file(unfinished)
    unfinished.replace(compressed_path(path))
    sync_directory(path.parent)
    path.unlink()


def compress_abandoned(directory: Path, key: JobKey) -> None:
    """Compress the files of runs that have died."""
    for path in sorted(_plain_files(directory, key)):
        with suppress(OSError):  # such as another run that does the same
            descriptor = open_existing(path, os.O_RDWR)
            try:
                if hold_alone(descriptor, path):
                    compress(path)
            finally:
                os.close(descriptor)


def _plain_files(directory: Path, key: JobKey) -> list[Path]:
    stem = f"{quoted(key.name)}#{key.number}"
    names = [entry.name for entry in directory.iterdir() if entry.name.startswith(stem)]
    found = [(name, _SEGMENT.fullmatch(name.removeprefix(stem))) for name in names]
    return [directory / name for name, match in found if match is not None and not match[3]]


class RunTail:
    """Reads the log of one run from its beginning, then what has been added."""

    def __init__(self, directory: Path, key: JobKey, run: int) -> None:
        self._directory = directory
        self._key = key
        self._run = run
        self._number = 1
        self._offset = 0
        """The offset of the next line, in the uncompressed file."""
        self._is_whole = False
        """The next file exists, so nothing is added to this one any more."""
        self.ended = False
        """The run has closed, so no event follows."""

    def events(self) -> Iterator[dict[str, Any]]:
        """The events since the last call. Torn and damaged lines are skipped."""
        from jsonlines import Reader

        with Reader(self._lines(), loads=json.loads) as reader:
            for event in reader.iter(type=dict, skip_invalid=True, skip_empty=True):
                # After a power cut the store may have forgotten a run: the next one has its number.
                self.ended = event.get("type") == "run_closed"
                yield event

    def _lines(self) -> Iterator[bytes]:
        while (file := self._open(self._number)) is not None:
            with file:
                yield from self._lines_of(file)
            if self._is_whole:
                self._number += 1
                self._offset, self._is_whole = 0, False
            elif self._is_there(self._number + 1):
                self._is_whole = True  # read once more what was added before that
            else:
                return

    def _lines_of(self, file: IO[bytes]) -> Iterator[bytes]:
        try:
            file.seek(self._offset)
            while (line := file.readline()).endswith(b"\n"):
                self._offset += len(line)
                yield line
        except (OSError, EOFError, zlib.error):
            return  # the rest of a damaged file cannot be read

    def _paths(self, number: int) -> tuple[Path, Path]:
        plain = segment_path(self._directory, self._key, self._run, number)
        return plain, compressed_path(plain)

    def _is_there(self, number: int) -> bool:
        return any(path.exists() for path in self._paths(number))

    def _open(self, number: int) -> IO[bytes] | None:
        plain, packed = self._paths(number)
        try:
            return open_to_read(plain)
        except FileNotFoundError:
            pass
        try:
            return cast("IO[bytes]", _Packed(packed))
        except FileNotFoundError:
            return None


class _Packed(gzip.GzipFile):
    """A compressed file, which is closed with what decompresses it."""

    def __init__(self, path: Path) -> None:
        self._raw = open_to_read(path)
        super().__init__(fileobj=self._raw, mode="rb")

    def close(self) -> None:
        super().close()
        self._raw.close()


def read_events(directory: Path, key: JobKey) -> Iterator[dict[str, Any]]:
    """All events of a job over all runs, sorted by time. Memory does not grow with their number."""
    waiting = [(_first_time(directory, key, run), run) for run in _runs(directory, key)]
    heapq.heapify(waiting)
    streams: list[_Stream] = []
    _push(streams, 0, read_actions(directory, key))
    while waiting or streams:
        while waiting and (not streams or waiting[0][0] <= streams[0].time):
            run = heapq.heappop(waiting)[1]
            _push(streams, run, RunTail(directory, key, run).events())
        if streams:
            stream = heapq.heappop(streams)
            yield stream.event
            _push(streams, stream.run, stream.rest)


class _Stream(NamedTuple):
    """The next event of a run, and those after it. Sorted by time, then by run."""

    time: str
    run: int
    event: dict[str, Any]
    rest: Iterator[dict[str, Any]]


def _push(streams: list[_Stream], run: int, events: Iterator[dict[str, Any]]) -> None:
    event = next(events, None)
    if event is not None:
        heapq.heappush(streams, _Stream(_time_of(event), run, event, events))


def _runs(directory: Path, key: JobKey) -> list[int]:
    return sorted({segment.run for segment in segments(directory, key)})


def _first_time(directory: Path, key: JobKey, run: int) -> str:
    return _time_of(next(RunTail(directory, key, run).events(), {}))


def _time_of(event: dict[str, Any]) -> str:
    return str(event.get("time", ""))


class JobTail:
    """Follows the logs of a job, including those of runs that begin later."""

    def __init__(self, directory: Path, key: JobKey) -> None:
        self._directory = directory
        self._key = key
        self._tails: dict[int, RunTail] = {}
        self._acted_at = ""
        """The time of the last action that was given."""

    def events(self) -> Iterable[dict[str, Any]]:
        """The events since the last call, sorted by time."""
        for run in _runs(self._directory, self._key):
            if run not in self._tails:
                self._tails[run] = RunTail(self._directory, self._key, run)
        fresh = [
            event for tail in self._tails.values() if not tail.ended for event in tail.events()
        ]
        for action in read_actions(self._directory, self._key):
            if _time_of(action) > self._acted_at:
                self._acted_at = _time_of(action)
                fresh.append(action)
        return sorted(fresh, key=_time_of)
