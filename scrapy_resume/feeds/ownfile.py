"""A local file in which a job has bytes of its own, among others'."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.file_lock import end_turn, is_at, take_turn
from scrapy_resume.feeds.footprint import Footprint, Note, note_of
from scrapy_resume.feeds.proof import HEAD_BYTES, PIECE_BYTES, Contents, new_hash
from scrapy_resume.feeds.ranges import Range, joined
from scrapy_resume.feeds.record import Claim


class OwnFile:
    """Appends to a file that others may append to as well, and knows which bytes are its own."""

    def __init__(self, path: Path, footprint: Footprint, claim: Claim | None = None) -> None:
        self.path = path
        self._footprint = footprint
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
        """The own bytes that are written."""
        return Claim(tuple(self._ranges), self._hash.hexdigest(), self._head.hex())

    @property
    def size(self) -> int:
        """Of the whole file."""
        return os.fstat(self._file).st_size

    def append(self, chunk: bytes) -> None:
        """Write the bytes at the end of the file.

        Raises ``FeedFileChangedError`` if the file is not there any more or has become shorter,
        and ``OSError``; then ``append(b"")`` goes on with what was not written.
        """
        self._waiting += chunk
        take_turn(self._file, wait=False)
        try:
            self._find()
            if self._waiting:
                self._write()
        finally:
            end_turn(self._file)

    def _write(self) -> None:
        note, after = self._announced()
        self._footprint.write(note)
        try:
            self._write_on(after)
        except OSError:
            with suppress(OSError):
                self._settle()
            raise
        self._settle()

    def _settle(self) -> None:
        """From here until the next piece the note is exact: nothing has to be guessed."""
        self._footprint.write(note_of(self.claim))

    def _write_on(self, after: hashlib.blake2b) -> None:
        while self._waiting:
            written = os.write(self._file, self._waiting)
            # With O_APPEND that is where these bytes ended, whoever else has appended.
            end = os.lseek(self._file, 0, os.SEEK_CUR)
            if written == len(self._waiting):
                self._hash = after
            else:
                self._hash.update(self._waiting[:written])
            self._head += self._waiting[: max(0, min(written, HEAD_BYTES - len(self._head)))]
            self._waiting = self._waiting[written:]
            self._ranges = joined([*self._ranges, (end - written, end)])

    def _announced(self) -> tuple[Note, hashlib.blake2b]:
        """What is going to be the job's, before it is; and the hash of all of it."""
        start = self.size
        after = self._hash.copy()
        after.update(self._waiting)
        ranges = joined([*self._ranges, (start, start + len(self._waiting))])
        head = (self._head + self._waiting[:HEAD_BYTES])[:HEAD_BYTES]
        claim = Claim(tuple(ranges), after.hexdigest(), head.hex())
        return note_of(claim, self.claim, self._waiting[:PIECE_BYTES]), after

    def _find(self) -> None:
        """The file under its name, with all own bytes in it, and this process the one to add."""
        if self._footprint.is_lost():
            raise FeedFileChangedError(f"the note beside {self.path} is another process's, or gone")
        try:
            while not is_at(self._file, self.path):
                self._follow()
        except FileNotFoundError as error:
            raise FeedFileChangedError(f"{self.path} was deleted or moved") from error
        if self._ranges and self.size < self._ranges[-1][1]:
            raise FeedFileChangedError(f"{self.path} was cut")

    def _follow(self) -> None:
        """Another job may have taken bytes of its own out of the file, and noted where this one's
        stand in the new one."""
        file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        try:
            take_turn(file, wait=False)
            note, own = self._footprint.read(), self.claim
            found = Claim()
            # A note that another process has signed: this one has lost the job.
            if note is not None and note.by == self._footprint.by:
                found = Contents(file).held(note) or found
            if found.size != own.size or (own.size and found.digest != own.digest):
                raise FeedFileChangedError(f"{self.path} was replaced by another file")
        except BaseException:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        self._ranges = list(found.ranges)

    def begin(self) -> None:
        """Nothing in the file is the job's from here on."""
        self._hash = new_hash()
        self._ranges = []
        self._head = self._waiting = b""
        self._footprint.write(note_of(Claim()))

    def sync(self) -> None:
        """Have it on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._footprint.close()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
