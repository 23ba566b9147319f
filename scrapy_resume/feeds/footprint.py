"""A small file beside a local feed that tells the job's bytes in it from others'.

The store knows what of a feed is committed. It does not know what was written since: bytes
after the committed ones may be the job's own (they are written again) or somebody else's, such
as another crawl's that appends to the same file (they are not ours to drop). So the ranges of
the job's bytes are noted beside the feed before they are written, together with what was the
job's until then: at any moment one of the two is true, and the digests tell which. Whoever takes
bytes out of the middle of a feed writes down beside it where those of the others come to stand.

The note survives the process and, as it stands beside the feed, tells the truth too if an older
copy of the store is put back. It goes when the job is completed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.file_lock import is_at
from scrapy_resume.feeds.record import Claim

LONGEST_NAME: Final = 180
"""Bytes of the feed's name in that of a file beside it, which must not be over 255 altogether."""

PAGE: Final = 4_096
"""Bytes of which a death leaves all or none, if they are written at once at a file's beginning."""


@dataclass(frozen=True)
class Note(Claim):
    """The bytes that are the job's, of which the last may not have been written."""

    before: Claim | None = None
    """What was the job's until these came, if that can be."""
    piece: str = ""
    """How the bytes begin that are appended to those of ``before``, in hex."""
    by: str = ""
    """Which process wrote the note, at random: nobody else goes by it while that one lives."""

    @property
    def claim(self) -> Claim:
        """The bytes without what else the note says."""
        return Claim(self.ranges, self.digest, self.head)


def note_of(claim: Claim, before: Claim | None = None, piece: bytes = b"") -> Note:
    """The note of a claim, not signed yet."""
    return Note(claim.ranges, claim.digest, claim.head, before, piece.hex())


class Footprint:
    """The note beside one feed's file, and what else stands there for a while."""

    def __init__(self, feed: Path, owner: str) -> None:
        mark = hashlib.blake2b(owner.encode(), digest_size=4).hexdigest()
        name = os.fsencode(feed.name)
        stem = name.decode(errors="ignore")
        if len(name) > LONGEST_NAME:
            whole = hashlib.blake2b(name, digest_size=4).hexdigest()
            stem = f"{name[:LONGEST_NAME].decode(errors='ignore')}~{whole}"
        self._beside = f".{stem}.{mark}"
        self._all = re.compile(re.escape(f".{stem}.") + r"[0-9a-f]{8}\.resume")
        self.path = feed.with_name(f"{self._beside}.resume")
        self.copy = feed.with_name(f"{self._beside}.copy")
        """What is about to take the feed's place."""
        self.part = feed.with_name(f"{self._beside}.part")
        """What is made there, to become the feed's or a part of it."""
        self._new = feed.with_name(f"{self._beside}.new")
        self._file: int | None = None
        self.by = secrets.token_hex(8)

    def read(self) -> Note | None:
        """``None``: there is no note. Raises ``FeedFileChangedError`` if it cannot be read."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        # Power that went may have left a file without its bytes.
        return self._decoded(text) if text.strip(b"\0") else None

    def _decoded(self, text: bytes) -> Note:
        try:
            return msgspec.json.decode(text, type=Note)
        except msgspec.DecodeError as error:
            raise FeedFileChangedError(f"the note {self.path} cannot be read") from error

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """The process that wrote the note goes by it no more. What it has added to the note by
        the end counts."""
        try:
            old = self.path.open("rb")
        except FileNotFoundError:
            yield
            return
        with old:
            self.close()
            self.write(self._decoded(old.read()))
            yield
            old.seek(0)
            self.write(self._decoded(old.read()))

    def others(self) -> Iterator[tuple[Path, Note]]:
        """The notes of other jobs beside the same file."""
        names = (entry.name for entry in os.scandir(self.path.parent))
        for name in sorted(name for name in names if self._all.fullmatch(name)):
            path = self.path.with_name(name)
            if path != self.path:
                with suppress(OSError, msgspec.DecodeError):
                    yield path, msgspec.json.decode(path.read_bytes(), type=Note)

    def write(self, note: Note) -> None:
        """Note what is about to be written. Raises ``OSError``."""
        text = msgspec.json.encode(replace(note, by=self.by))
        if self._file is None or not _written_over(self._file, text):
            # A new file at first: whoever had the job before and is not dead goes on with the old.
            self.close()
            self._file = _replaced(self.path, self._new, text)

    def write_other(self, path: Path, note: Note) -> None:
        """Change the note of another job, whose process may have it open."""
        text = msgspec.json.encode(note)
        file = os.open(path, os.O_WRONLY)
        try:
            if not _written_over(file, text):
                os.close(_replaced(path, self._new, text))
            else:
                os.fsync(file)
        finally:
            os.close(file)

    def is_lost(self) -> bool:
        """Another process has signed the note since this one did, or the note is gone."""
        if self._file is None or is_at(self._file, self.path):
            return False
        note = self.read()
        return note is None or note.by != self.by

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """The job is completed, or the file is another one's from now on."""
        self.close()
        for path in (self._new, self.copy, self.path):
            with suppress(OSError):
                path.unlink()


def _written_over(file: int, text: bytes) -> bool:
    """Whether it could be done so that a death leaves the old text or the new one."""
    length = max(len(text), os.fstat(file).st_size)
    if length > PAGE:
        return False
    os.pwrite(file, text.ljust(length), 0)
    return True


def _replaced(path: Path, new: Path, text: bytes) -> int:
    """The file, open, with that text in the place of the one that was there."""
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, text)
        new.replace(path)
    except BaseException:
        os.close(file)
        raise
    return file
