"""The files of one run's event log: written, rotated, and compressed when they are complete.

A file is locked by its process as long as it is written or compressed. A file that is not locked is
one of a run that has died: the next run of the job compresses it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import jsonlines
import msgspec

from scrapy_resume.events.log_files import (
    compress,
    compress_abandoned,
    compressed_path,
    create_segment,
    remove_abandoned_parts,
    segment_path,
)

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Session

logger = logging.getLogger("scrapy_resume")

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A file that has reached this size is compressed, and the next one begins."""

Fields = dict[str, Any]

_encode: Final = msgspec.json.Encoder().encode


class RotatedFile:
    """The log files of one run. The first one is made when the first line is written."""

    def __init__(self, directory: Path, session: Session, segment_bytes: int) -> None:
        self._directory = directory
        self._job = session.job
        self._run = session.run
        self._segment_bytes = segment_bytes
        self._number = 0
        self._path: Path
        self._file: IO[bytes] | None = None
        self._writer: jsonlines.Writer

    def write(self, lines: Iterator[Fields]) -> None:
        """Add events, one a line. Raises ``OSError``."""
        for line in lines:
            if self._file is None:
                self._file = self._open()
            self._writer.write(line)
            if self._file.tell() >= self._segment_bytes:
                self._rotate()

    def _open(self) -> IO[bytes]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._number:
            for path in remove_abandoned_parts(self._directory, self._job):
                logger.info("%s was left by a process that died; it is removed", path)
            compress_abandoned(self._directory, self._job)
        while True:
            self._number += 1
            self._path = segment_path(self._directory, self._job, self._run, self._number)
            if compressed_path(self._path).exists():
                continue  # left by a deleted job of the same name and number
            try:
                file = create_segment(self._path)
            except FileExistsError:
                continue
            self._writer = jsonlines.Writer(file, dumps=_dumps)
            return file

    def _rotate(self) -> None:
        """Begin the next file, then compress this one: so readers know that it is complete."""
        assert self._file is not None
        whole, path = self._file, self._path
        whole.flush()
        self._file = self._open()
        compress(path)
        whole.close()

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._file is not None:
            self._file.flush()

    def close_and_compress(self) -> None:
        """The run has ended."""
        if self._file is not None:
            self._file.flush()
            try:
                compress(self._path)
            except OSError as error:
                logger.warning("%s cannot be compressed, and stays: %s", self._path, error)
            self._file.close()


def _dumps(event: Mapping[str, Any]) -> str:
    """One line of JSON. All characters beyond ASCII are escaped, so that no control character of
    a page reaches a terminal. Lone surrogates (an error's message may have them) are escaped too.
    """
    try:
        line = _encode(event)
    except UnicodeEncodeError:
        return json.dumps(event, separators=(",", ":"))
    return line.decode() if line.isascii() else json.dumps(event, separators=(",", ":"))
