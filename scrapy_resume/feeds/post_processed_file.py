"""A local feed with post-processing (gzip, say), which is written whole at each pause or end.

Its bytes are not those of its items one after the other, so it cannot be cut back. It is made in
a temporary file beside the feed, which then takes the place of the job's earlier bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from scrapy_resume.disk import make_directories
from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.byte_ranges import Range
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord, rewound
from scrapy_resume.feeds.own_bytes import Kind, OwnBytes, own_bytes, warn_of_doubt
from scrapy_resume.feeds.ownership_note import NoteFile, note_of
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor
from scrapy_resume.feeds.thread_call import InThread
from scrapy_resume.privatefiles import create_file


class PostProcessedFile:
    """A destination: a local file that is replaced as a whole when the job pauses or completes."""

    can_finish_write = False
    keeps_deliveries = False

    def __init__(
        self, path: Path, owner: str, in_thread: InThread, *, overwrite: bool, place: str = ""
    ) -> None:
        self._path = path
        self._note_file = NoteFile(path, owner, place)
        self._in_thread = in_thread
        self._overwrite = overwrite
        self._is_placed = False
        """The file holds bytes of the job."""
        self._overwritten: Sequence[Range] = ()
        """What the file held before the job began, if the feed overwrites."""
        self._file: IO[bytes] | None = None

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Find the job's bytes, which are to be replaced. Raises ``FeedFileChangedError``."""
        if self._path.exists():
            with SharedFileEditor(self._path, self._note_file) as file:
                found = self._found(file, record)
                warn_of_doubt(self._path, found)
                own = found.all
                if own.ranges:
                    self._note_file.write(note_of(own))
            self._is_placed = bool(own.ranges)
        return replace(rewound(record), claim=record.claim)

    def _found(self, file: SharedFileEditor, record: FeedRecord) -> OwnBytes:
        """The job's bytes that are in the file. Raises ``FeedFileChangedError``."""
        return own_bytes(file, self._note_file.read(), record, Kind(placed=True))

    def planned(self, record: FeedRecord) -> FeedRecord:
        """The record with the offset at which the job's bytes will be."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if self._is_placed:
            return record
        base = 0 if self._overwrite and not record.begun else size
        return replace(record, base=base, noted=record.noted and self._note_file.path.exists())

    async def open(self, record: FeedRecord) -> FeedRecord:
        """Begin the temporary file."""
        return await self._in_thread(lambda: self._begin(record))

    def _begin(self, record: FeedRecord) -> FeedRecord:
        make_directories(self._path.parent)
        size = self._path.stat().st_size if self._path.exists() else 0
        if not self._is_placed:
            if self._overwrite and not record.begun:
                self._overwritten, size = ((0, size),), 0
            self._note_file.write(note_of(Claim(), base=size))
        # A new file, as a process that had the job before may still write to the old one.
        self._file = os.fdopen(create_file(self._note_file.part), "wb+")
        return replace(record, base=size if record.base is None else record.base, noted=True)

    @property
    def offset(self) -> int:
        """0: the temporary file begins empty."""
        return 0

    def write(self, chunk: bytes) -> None:
        """Write to the temporary file. Raises ``OSError``."""
        assert self._file is not None
        self._file.write(chunk)

    def updated(self, record: FeedRecord) -> FeedRecord:
        """The record unchanged: the feed's file changes at delivery only."""
        return record

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Put the file's bytes into the feed, in place of the job's earlier ones or at the end."""
        return await self._in_thread(lambda: self._place(record))

    def _place(self, record: FeedRecord) -> FeedRecord:
        assert self._file is not None
        self._file.flush()
        with SharedFileEditor(self._path, self._note_file) as file:
            if self._note_file.is_lost():
                raise FeedFileChangedError(f"another process writes to {self._path}")
            own = self._found(file, record).all
            claim = file.put(own, self._overwritten or own.ranges, self._file)
        self.close()
        self._is_placed, self._overwritten = True, ()
        return replace(record, claim=claim, begun=True)

    def rest(self) -> None:
        """Nothing to do: the note was synced when the file was put into its place."""

    def close(self) -> None:
        """Delete the temporary file."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._note_file.part.unlink(missing_ok=True)
        self._note_file.close()

    def remove_note(self) -> None:
        """Remove the ownership note beside the file."""
        self._note_file.remove()
