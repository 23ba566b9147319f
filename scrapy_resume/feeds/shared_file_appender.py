"""Appends to a local feed that other jobs may append to, and tracks which bytes are the job's."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.byte_ranges import Range, joined
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.claim_verification import HEAD_BYTES, PIECE_BYTES, Contents, new_hash
from scrapy_resume.feeds.file_lock import end_turn, is_at, take_turn
from scrapy_resume.feeds.ownership_note import NoteFile, OwnershipNote, note_of


class SharedFileAppender:
    """An open local file. Each append is announced in the ownership note before it is done.

    ``claim``: the job's bytes in the file so far; they must have been verified.
    """

    def __init__(self, path: Path, note_file: NoteFile, claim: Claim | None = None) -> None:
        self.path = path
        self._note_file = note_file
        self._file = _opened(path)
        self._hash = new_hash()
        self._ranges: list[Range] = []
        self._head = b""
        self._waiting = b""
        if claim is not None:
            self._ranges = list(claim.ranges)
            self._head = bytes.fromhex(claim.head)
            self._hash = Contents(self._file).hash_of(claim.ranges)

    @property
    def claim(self) -> Claim:
        """The job's bytes that are written."""
        return Claim(
            ranges=tuple(self._ranges), digest=self._hash.hexdigest(), head=self._head.hex()
        )

    @property
    def size(self) -> int:
        """The length of the whole file."""
        return os.fstat(self._file).st_size

    def append(self, chunk: bytes) -> None:
        """Write the bytes at the end of the file.

        Raises ``FeedFileChangedError`` if the file was deleted, replaced or truncated, and
        ``OSError``; after that ``append(b"")`` writes the bytes that are still missing.
        """
        self._waiting += chunk
        take_turn(self._file, wait=False)
        try:
            self._check_file()
            if self._waiting:
                self._write()
        finally:
            end_turn(self._file)

    def _write(self) -> None:
        note, after = self._announced()
        self._note_file.write(note)
        try:
            self._write_on(after)
        except OSError:
            with suppress(OSError):
                self._settle()
            raise
        self._settle()

    def _settle(self) -> None:
        """Write a note of what is in the file: until the next append nothing has to be searched."""
        self._note_file.write(note_of(self.claim))

    def _write_on(self, after: hashlib.blake2b) -> None:
        while self._waiting:
            written = os.write(self._file, self._waiting)
            # With O_APPEND this is where the bytes ended, even if others have appended meanwhile.
            end = os.lseek(self._file, 0, os.SEEK_CUR)
            if written == len(self._waiting):
                self._hash = after
            else:
                self._hash.update(self._waiting[:written])
            self._head += self._waiting[: max(0, min(written, HEAD_BYTES - len(self._head)))]
            self._waiting = self._waiting[written:]
            self._ranges = joined([*self._ranges, (end - written, end)])

    def _announced(self) -> tuple[OwnershipNote, hashlib.blake2b]:
        """The note that announces the waiting bytes, and the claim's hash once they are written."""
        start = self.size
        after = self._hash.copy()
        after.update(self._waiting)
        ranges = joined([*self._ranges, (start, start + len(self._waiting))])
        head = (self._head + self._waiting[:HEAD_BYTES])[:HEAD_BYTES]
        claim = Claim(ranges=tuple(ranges), digest=after.hexdigest(), head=head.hex())
        return note_of(claim, self.claim, self._waiting[:PIECE_BYTES]), after

    def _check_file(self) -> None:
        """Have the file at the path open, with all the job's bytes in it, and see that this process
        still owns the note. Raises ``FeedFileChangedError``."""
        if self._note_file.is_lost():
            raise FeedFileChangedError(f"the note beside {self.path} is another process's, or gone")
        try:
            while not is_at(self._file, self.path):
                self._reopen()
        except FileNotFoundError as error:
            raise FeedFileChangedError(f"{self.path} was deleted or moved") from error
        if self._ranges and self.size < self._ranges[-1][1]:
            raise FeedFileChangedError(f"{self.path} was cut")

    def _reopen(self) -> None:
        """Open the file that another job has put in the place of this one when it removed its own
        bytes; the note says where this job's bytes are in it. Raises ``FeedFileChangedError``."""
        file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        try:
            take_turn(file, wait=False)
            beside, own = self._note_file.read(), self.claim
            found = Claim()
            # If another process has signed the note, this one has lost the job.
            if beside is not None and beside.note.by == self._note_file.by:
                found = Contents(file).held(beside.note) or found
            if found.size != own.size or (own.size and found.digest != own.digest):
                raise FeedFileChangedError(f"{self.path} was replaced by another file")
        except BaseException:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        self._ranges = list(found.ranges)

    def begin(self) -> int:
        """Give up the claim: the job begins the file anew at its present end, which is returned.
        The note that says so is synced."""
        self._hash = new_hash()
        self._ranges = []
        self._head = self._waiting = b""
        base = self.size
        self._note_file.write(note_of(Claim(), base=base), synced=True)
        return base

    def sync(self) -> None:
        """Flush the file to the disk (``fsync``)."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file and its note."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._note_file.close()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
