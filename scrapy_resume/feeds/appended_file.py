"""A local feed that grows with each commit, and goes on where it was when the job is resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scrapy_resume.disk import make_directories
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord, rewound
from scrapy_resume.feeds.ownership_note import NoteFile, note_of
from scrapy_resume.feeds.shared_file_appender import SharedFileAppender
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor, fence_off
from scrapy_resume.feeds.thread_call import InThread
from scrapy_resume.feeds.truncation import cut_back


class AppendedFile:
    """A destination: a local file in which the items' bytes follow one another."""

    can_finish_write = True
    keeps_deliveries = False

    def __init__(
        self,
        path: Path,
        owner: str,
        in_thread: InThread,
        *,
        overwrite: bool,
        fence: bool,
        place: str = "",
    ) -> None:
        self._path = path
        self._note_file = NoteFile(path, owner, place)
        self._overwrite = overwrite
        self._in_thread = in_thread
        self._fence = fence
        self._file: SharedFileAppender | None = None
        self._delivered: Claim | None = None
        """The job's bytes in the file when it was delivered, those that end the format included."""

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Cut the file back to what is committed. Raises ``FeedFileChangedError``."""
        if not self._path.exists():
            return rewound(record)
        if self._fence:
            fence_off(self._path, self._note_file)
        committed = cut_back(self._path, self._note_file, record, overwrites=self._overwrite)
        if not committed.ranges:
            return rewound(record)
        self._file = SharedFileAppender(self._path, self._note_file, committed)
        return replace(record, claim=committed, noted=True)

    def planned(self, record: FeedRecord) -> FeedRecord:
        """The record with the offset at which the job is about to begin. Without a note there are
        none of its bytes in the file then."""
        begun = record.begun or self._note_file.path.exists()
        overwrites = self._overwrite and not begun
        base = 0 if overwrites or not self._path.exists() else self._path.stat().st_size
        return replace(record, base=base, noted=self._note_file.path.exists())

    async def open(self, record: FeedRecord) -> FeedRecord:
        """Open the file; if the feed overwrites and the job has not begun it, empty it first."""
        return await self._in_thread(lambda: self._begin(record))

    def _begin(self, record: FeedRecord) -> FeedRecord:
        make_directories(self._path.parent)
        # The note is evidence of a beginning that the store does not know yet.
        begun = record.begun or self._note_file.path.exists()
        if self._overwrite and not begun and self._path.exists():
            with SharedFileEditor(self._path, self._note_file, wait=False) as file:
                file.empty()
        if self._file is None:
            self._file = SharedFileAppender(self._path, self._note_file)
        return replace(record, base=self._file.begin(), noted=True)

    @property
    def offset(self) -> int:
        """The file's length, where the next byte goes."""
        return 0 if self._file is None else self._file.size

    def write(self, chunk: bytes) -> None:
        """Append to the file. Raises ``FeedFileChangedError`` and ``OSError``."""
        assert self._file is not None
        self._file.append(chunk)

    def updated(self, record: FeedRecord) -> FeedRecord:
        """The record with the claim on what was appended so far."""
        if self._file is None:
            return record
        return replace(record, claim=self._file.claim, begun=True)

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Flush the file to the disk and close it. The record says which bytes end the format:
        they are removed again when the job is resumed."""
        assert self._file is not None
        await self._in_thread(self._file.sync)
        if ending_bytes:
            ended = self._file.claim
            ending = (ended.end - ending_bytes, ended.end)
            record = replace(record, ending=ending, ended=ended.digest)
        self._delivered = self._file.claim
        self.close()
        return record

    def rest(self) -> None:
        """Write into the note that the file, which was delivered, stays as it is: whatever others
        append from now on is theirs, over a restart of the machine too. Raises ``OSError``."""
        if self._delivered is not None:
            note = note_of(self._delivered)
            self._note_file.write(replace(note, at_rest=True), synced=True)
            self._note_file.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove_note(self) -> None:
        """Remove the ownership note beside the file."""
        self._note_file.remove()
