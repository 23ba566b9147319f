"""The ownership note: a small file beside a local feed that says which of its bytes are the job's.

The store knows how much of a feed is committed. It does not know what was written after that:
those bytes may be the job's own (and are written again) or somebody else's, such as another
crawl's that appends to the same file (and must stay). So the job writes the ranges of its bytes
to the note before it writes the bytes to the feed, together with the ranges that it had before.
At any moment one of the two claims is true, and their digests tell which. A job that removes
bytes from the middle of a feed updates the notes of the other jobs, whose bytes move.

The note outlives the process. Because it lies beside the feed, it also remains true when an older
copy of the store is restored. It is removed when the job is completed.
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
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.file_lock import is_at
from scrapy_resume.privatefiles import (
    PlantedFileError,
    create_file,
    open_existing,
    read_existing,
    remove_abandoned,
)

LONGEST_NAME: Final = 180
"""Bytes of the feed's name that the note's name may contain: file systems allow 255 in all."""

PAGE: Final = 4_096
"""Bytes. A write of at most one page at the beginning of a file is either done or not done when
the process dies."""


@dataclass(frozen=True)
class OwnershipNote(Claim):
    """The claim on the job's bytes, the last of which may not have been written yet.

    The field names are part of the format of the note.
    """

    before: Claim | None = None
    """The claim that was true before these bytes were written, if it may still be true."""
    piece: str = ""
    """The first bytes, in hex, of what is appended to those of ``before``."""
    by: str = ""
    """A random id of the process that wrote the note: a process that finds another id than its own
    knows that it has lost the job."""

    @property
    def claim(self) -> Claim:
        """The claim alone."""
        return Claim(self.ranges, self.digest, self.head)


def note_of(claim: Claim, before: Claim | None = None, piece: bytes = b"") -> OwnershipNote:
    """A note for a claim. ``NoteFile.write`` adds the id of the process."""
    return OwnershipNote(
        ranges=claim.ranges,
        digest=claim.digest,
        head=claim.head,
        before=before,
        piece=piece.hex(),
    )


class NoteFile:
    """The note beside one local feed, and the names of the temporary files beside it."""

    def __init__(self, feed: Path, owner: str) -> None:
        owner_hash = hashlib.blake2b(owner.encode(), digest_size=4).hexdigest()
        name = os.fsencode(feed.name)
        stem = name.decode(errors="ignore")
        if len(name) > LONGEST_NAME:
            name_hash = hashlib.blake2b(name, digest_size=4).hexdigest()
            stem = f"{name[:LONGEST_NAME].decode(errors='ignore')}~{name_hash}"
        self._beside = f".{stem}.{owner_hash}"
        self._all = re.compile(re.escape(f".{stem}.") + r"[0-9a-f]{8}\.resume")
        self._temporary = re.compile(re.escape(f".{stem}.") + r"[0-9a-f]{8}\.(?:copy|new|part)")
        self.path = feed.with_name(f"{self._beside}.resume")
        self.copy = feed.with_name(f"{self._beside}.copy")
        """A rewritten copy of the feed that is about to replace it."""
        self.part = feed.with_name(f"{self._beside}.part")
        """A post-processed file that is being written, to be put into the feed."""
        self._new = feed.with_name(f"{self._beside}.new")
        self._file: int | None = None
        self.by = secrets.token_hex(8)
        """The random id of this process."""

    def read(self) -> OwnershipNote | None:
        """The note; ``None`` if there is none. Raises ``FeedFileChangedError`` if it is damaged."""
        try:
            text = read_existing(self.path)
        except FileNotFoundError:
            return None
        except PlantedFileError as error:
            raise FeedFileChangedError(f"the note {self.path} cannot be read: {error}") from error
        # A power failure may have left the file with zeros in place of its bytes.
        return self._decoded(text) if text.strip(b"\0") else None

    def _decoded(self, text: bytes) -> OwnershipNote:
        try:
            return msgspec.json.decode(text, type=OwnershipNote)
        except msgspec.DecodeError as error:
            raise FeedFileChangedError(f"the note {self.path} cannot be read") from error

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Replace the note by a new file, so that the process that wrote the old one notices that
        it has lost the job. What that process adds to the old file until the context is left is
        copied to the new one.
        """
        try:
            old = os.fdopen(open_existing(self.path), "rb")
        except FileNotFoundError:
            yield
            return
        with old:
            self.close()
            self.write(self._decoded(old.read()))
            yield
            old.seek(0)
            self.write(self._decoded(old.read()))

    def others(self) -> Iterator[tuple[Path, OwnershipNote]]:
        """The notes of other jobs beside the same feed."""
        names = (entry.name for entry in os.scandir(self.path.parent))
        for name in sorted(name for name in names if self._all.fullmatch(name)):
            path = self.path.with_name(name)
            if path != self.path:
                with suppress(OSError, msgspec.DecodeError):
                    yield path, msgspec.json.decode(read_existing(path), type=OwnershipNote)

    def remove_abandoned(self) -> list[Path]:
        """Remove the temporary files beside the feed whose processes have died, whichever job they
        had; returns which. No item is lost with them: feeds are made of the store's."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.path.parent))
        except OSError:
            return []
        found = [self.path.with_name(name) for name in names if self._temporary.fullmatch(name)]
        return [path for path in found if remove_abandoned(path)]

    def write(self, note: OwnershipNote) -> None:
        """Write the note, signed with the id of this process. Raises ``OSError``."""
        text = msgspec.json.encode(replace(note, by=self.by))
        if self._file is None or not _written_over(self._file, text):
            # The first write makes a new file: a process that had the job before, and may still
            # live, keeps the old one.
            self.close()
            self._file = _replaced(self.path, self._new, text)

    def write_other(self, path: Path, note: OwnershipNote) -> None:
        """Write the note of another job, whose process may have the file open."""
        text = msgspec.json.encode(note)
        file = open_existing(path, os.O_WRONLY)
        try:
            if not _written_over(file, text):
                os.close(_replaced(path, self._new, text))
            else:
                os.fsync(file)
        finally:
            os.close(file)

    def is_lost(self) -> bool:
        """Whether another process has signed the note since this one did, or the note is gone."""
        if self._file is None or is_at(self._file, self.path):
            return False
        note = self.read()
        return note is None or note.by != self.by

    def close(self) -> None:
        """Close the note; it stays where it is."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Delete the note and the temporary files: nothing tells the job's bytes from others' any
        more, except the store."""
        self.close()
        for path in (self._new, self.copy, self.path):
            with suppress(OSError):
                path.unlink()


def _written_over(file: int, text: bytes) -> bool:
    """Overwrite the file in place, if either the old text or the new one survives a death of the
    process. Returns whether it did; otherwise nothing was written."""
    length = max(len(text), os.fstat(file).st_size)
    if length > PAGE:
        return False
    os.pwrite(file, text.ljust(length), 0)
    return True


def _replaced(path: Path, new: Path, text: bytes) -> int:
    """Write the text to ``new`` and rename it to ``path``. Returns the open file."""
    file = create_file(new, os.O_WRONLY)
    try:
        os.write(file, text)
        new.replace(path)
    except BaseException:
        os.close(file)
        raise
    return file
