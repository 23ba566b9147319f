"""The ownership note: a small file beside a local feed that says which of its bytes are the job's.

The store knows how much of a feed is committed. It does not know what was written after that:
those bytes may be the job's own (and are written again) or somebody else's, such as another
crawl's that appends to the same file (and must stay). So the job writes the ranges of its bytes
to the note before it writes the bytes to the feed, together with the ranges that it had before.
At any moment one of the two claims is true, and their digests tell which. A job that removes
bytes from the middle of a feed updates the notes of the other jobs, whose bytes move.

The note outlives the process. Because it lies beside the feed, it also remains true when an older
copy of the store is restored. It is removed when the job is completed, and with it all other jobs
that write the same feed.

It need not survive a power cut, which may leave an older note beside a newer feed. So each note
says in which boot and when it was written. Only a note that was written in the present boot, and
not put there by others since, names *all* the job's bytes (``FoundNote.is_current``); so does one
that was synced when the job came to rest. Any other note still proves what its digests prove, but
the job may have written more.

The file has two lines. The first was synced, with the directory, when the process wrote its first
note. The second is overwritten in place without a sync, and may be torn by a power cut; then the
first one counts. Each line begins with a checksum.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from scrapy_resume.disk import boot_id, sync_directory
from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.file_lock import is_at
from scrapy_resume.privatefiles import (
    PlantedFileError,
    create_file,
    open_existing,
    remove_abandoned,
)

LONGEST_NAME: Final = 180
"""Bytes of the feed's name that the note's name may contain: file systems allow 255 in all."""

PAGE: Final = 4_096
"""Bytes. A write of at most one page at the beginning of a file is either done or not done when
the process dies."""

CLOCK_SECONDS: Final = 0.02
"""The kernel stamps a file with a clock that may lag behind by a tick, at most 0.01 s."""

MOST_STAMPS: Final = 3
"""How often a note is written again, because the process was held up while it wrote it or the file
system has a clock of its own."""


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
    base: int | None = None
    """The offset at which the job begins to write, while it has no bytes in the file."""
    owner: str = ""
    """The text that tells the job from all others."""
    place: str = ""
    """Where the job is recorded: the store and the job's name."""
    boot: str = ""
    """The id of the boot in which the note was written."""
    at: int = 0
    """When it was written, in nanoseconds since the epoch; 0: it may be older than the feed."""
    at_rest: bool = False
    """Feed and note were synced, and whoever goes on with the feed syncs another note first: the
    note names all the job's bytes, whatever happened since."""
    reduced: bool = False
    """Another job has decided, after a power cut, which bytes are this job's. The store may know
    of more; those are lost."""
    completed: bool = False
    """The job is completed. The note is kept for other jobs, which may have to find out later which
    bytes are not theirs."""

    @property
    def claim(self) -> Claim:
        """The claim alone."""
        return Claim(self.ranges, self.digest, self.head)

    @property
    def start(self) -> int | None:
        """The offset before which no bytes are the job's; ``None``: it is unknown."""
        claims = [claim for claim in (self.claim, self.before) if claim and claim.ranges]
        return min((claim.ranges[0][0] for claim in claims), default=self.base)


class FoundNote(NamedTuple):
    """What lies beside a feed."""

    note: OwnershipNote
    """Empty if the file cannot be read."""
    is_current: bool
    """It names all the job's bytes. If false, the job may have written more."""


def note_of(
    claim: Claim, before: Claim | None = None, piece: bytes = b"", base: int | None = None
) -> OwnershipNote:
    """A note for a claim. ``NoteFile.write`` adds the id of the process, the boot and the time."""
    return OwnershipNote(
        ranges=claim.ranges,
        digest=claim.digest,
        head=claim.head,
        before=before,
        piece=piece.hex(),
        base=base,
    )


class NoteFile:
    """The note beside one local feed, and the names of the temporary files beside it."""

    def __init__(self, feed: Path, owner: str, place: str = "") -> None:
        """``place``: where the job is recorded, for others who may have to find out whether it
        still is."""
        self._owner = owner
        self.place = place
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
        self._first_line = 0
        """The length of the open file's first line."""
        self.by = secrets.token_hex(8)
        """The random id of this process."""

    def read(self) -> FoundNote | None:
        """The note; ``None`` if there is none."""
        try:
            file = open_existing(self.path)
        except FileNotFoundError:
            return None
        except PlantedFileError as error:
            raise FeedFileChangedError(f"the note {self.path} cannot be read: {error}") from error
        try:
            return _found(file)
        finally:
            os.close(file)

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Replace the note by a new file, so that the process that wrote the old one notices that
        it has lost the job. What that process adds to the old file until the context is left is
        copied to the new one.
        """
        try:
            old = open_existing(self.path)
        except FileNotFoundError:
            yield
            return
        try:
            self.close()
            self._replace(*_found(old))
            yield
            self._replace(*_found(old))
        finally:
            os.close(old)

    def others(self) -> Iterator[tuple[Path, FoundNote]]:
        """The notes of other jobs beside the same feed."""
        names = (entry.name for entry in os.scandir(self.path.parent))
        for name in sorted(name for name in names if self._all.fullmatch(name)):
            path = self.path.with_name(name)
            if path == self.path:
                continue
            with suppress(OSError):
                file = open_existing(path)
                try:
                    found = _found(file)
                finally:
                    os.close(file)
                yield path, found

    def remove_abandoned(self) -> list[Path]:
        """Remove the temporary files beside the feed whose processes have died, whichever job they
        had; returns which. No item is lost with them: feeds are made of the store's."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.path.parent))
        except OSError:
            return []
        found = [self.path.with_name(name) for name in names if self._temporary.fullmatch(name)]
        return [path for path in found if remove_abandoned(path)]

    def write(self, note: OwnershipNote, *, synced: bool = False) -> None:
        """Write the note, signed with the id of this process. Raises ``OSError``.

        The first note of the process is synced, before any byte of the feed is written; later ones
        if they are to be ``synced``. A new file is made then: a process that had the job before,
        and may still live, keeps the old one.
        """
        note = self._signed(note)
        if synced or self._file is None:
            self._replace(note)
        elif not _write_over(self._file, self._first_line, note):
            # Many ranges. If a power cut leaves nothing of it, the store decides.
            self._replace(note, synced=False)

    def _replace(
        self, note: OwnershipNote, is_current: bool = True, *, synced: bool = True
    ) -> None:
        self.close()
        signed = self._signed(note)
        self._file, self._first_line = _replaced(
            self.path, self._new, signed, is_current=is_current, synced=synced
        )

    def _signed(self, note: OwnershipNote) -> OwnershipNote:
        if not self.place:
            return replace(note, by=self.by)
        return replace(note, by=self.by, owner=self._owner, place=self.place)

    def write_other(self, path: Path, note: OwnershipNote, by: str) -> None:
        """Write the note of another job, whose process ``by`` may be alive: it goes on in the new
        file."""
        signed = replace(note, by=by)
        os.close(_replaced(path, self._new, signed, is_current=True, synced=True)[0])

    def is_lost(self) -> bool:
        """Whether another process has signed the note since this one did, or the note is gone."""
        if self._file is None or is_at(self._file, self.path):
            return False
        found = self.read()
        if found is None or found.note.by != self.by:
            return True
        self.close()  # another job has replaced the note: the next one goes into a new file
        return False

    def close(self) -> None:
        """Close the note; it stays where it is."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Delete the note and the temporary files: nothing tells the job's bytes from others' any
        more, except the store.

        While other jobs that write the same feed are not completed, their notes and this one stay;
        the last one deletes them all.
        """
        found = self.read()
        others = [] if found is None else list(self.others())
        done = [self.path, *(path for path, other in others if other.note.completed)]
        if found is not None and found.is_current and len(done) <= len(others):
            done = []
            with suppress(OSError):  # the note stays as it is
                self.write(replace(found.note, at_rest=True, completed=True), synced=True)
        self.close()
        for path in (self._new, self.copy, *done):
            with suppress(OSError):
                path.unlink()


def _write_over(file: int, first_line: int, note: OwnershipNote) -> bool:
    """Overwrite the second line in place, if either the old text or the new one survives a death
    of the process. Returns whether it did; otherwise nothing was written."""
    at = time.time_ns()
    for _ in range(MOST_STAMPS):
        stamped = _stamped(note, at)
        text = _encoded(stamped)
        length = max(len(text), os.fstat(file).st_size - first_line)
        if first_line + length > PAGE:
            return False
        _write_at(file, text.ljust(length), first_line)
        if _is_current(stamped, file):
            break
        at = os.fstat(file).st_ctime_ns  # a server's clock may be another one
    return True


def _write_at(file: int, text: bytes, offset: int) -> None:
    if os.pwrite(file, text, offset) < len(text):
        raise OSError(errno.ENOSPC, "no room for the note beside a feed")


def _replaced(
    path: Path, new: Path, note: OwnershipNote, *, is_current: bool, synced: bool
) -> tuple[int, int]:
    """Write a note to ``new`` and rename that to ``path``. Returns the open file, and the length of
    its first line."""
    first_line = _encoded(replace(note, boot="", at=0)) + b"\n" if synced else b""
    file = create_file(new, os.O_RDWR)
    try:
        if synced:
            _write_at(file, first_line, 0)
            os.fsync(file)
        stamped = _stamped(note, time.time_ns())
        if is_current:
            _write_at(file, _encoded(stamped), len(first_line))
        new.replace(path)  # this too changes the time of change
        if synced:
            sync_directory(path.parent)
        if is_current and not _is_current(stamped, file):
            _write_over(file, len(first_line), note)
    except BaseException:
        os.close(file)
        raise
    return file, len(first_line)


def _stamped(note: OwnershipNote, at: int) -> OwnershipNote:
    return replace(note, boot=boot_id(), at=at)


def _encoded(note: OwnershipNote) -> bytes:
    text = msgspec.json.encode(note)
    return _checksum(text) + b" " + text


def _checksum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=8).hexdigest().encode()


def _decoded(line: bytes) -> OwnershipNote | None:
    """``None`` if the line is torn."""
    line = line.strip(b" \0")
    # A note of an earlier version has no checksum.
    checksum, _, text = line.partition(b" ") if not line.startswith(b"{") else (b"", b"", line)
    if checksum and checksum != _checksum(text):
        return None
    try:
        return msgspec.json.decode(text, type=OwnershipNote)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _found(file: int) -> FoundNote:
    """The newest line of an open note that is whole."""
    text = os.pread(file, os.fstat(file).st_size, 0)
    for line in reversed(text.split(b"\n")):
        note = _decoded(line)
        if note is not None:
            return FoundNote(note, _is_current(note, file))
    return FoundNote(OwnershipNote(), is_current=False)


def _is_current(note: OwnershipNote, file: int) -> bool:
    """Whether nothing can have been written since that the note does not name.

    A copy of a note, or an older one that was put back, has another time of change.
    """
    if note.at_rest:
        return True
    changed = os.fstat(file).st_ctime_ns
    return note.boot == boot_id() and abs(changed - note.at) <= CLOCK_SECONDS * 1_000_000_000
