"""Removes or replaces a job's bytes in a local file and leaves all other bytes intact.

Every change is synced before anything is written behind it: a power cut may take what was appended
since, and never brings back what was removed.

Bytes that follow the removed ones move, among them bytes that other jobs have claimed in their
notes. So those notes are updated before the file is: each then holds both claims, on the new
ranges and on the old ones, and one of the two is true whenever the process dies. The job's own
note is written in the same way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO

from scrapy_resume.disk import sync_directory
from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.byte_ranges import Range, gaps_of, minus, moved, place_after, within
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.claim_verification import CHUNK, Contents
from scrapy_resume.feeds.file_lock import is_at, take_turn
from scrapy_resume.feeds.ownership_note import FoundNote, NoteFile, OwnershipNote, note_of
from scrapy_resume.privatefiles import create_file


class SharedFileEditor:
    """A context in which a local file, which need not exist, is locked against other jobs.

    ``wait=False``: entering the context raises ``BlockingIOError`` if another job holds the lock
    for longer than ``file_lock.PATIENCE_SECONDS``.
    """

    def __init__(self, path: Path, note_file: NoteFile, *, wait: bool = True) -> None:
        self._path = path
        self._note_file = note_file
        self._wait = wait
        self._file: int | None = None
        self._notes: list[tuple[Path, FoundNote]] = []
        self.contents = Contents(None)
        self.others: list[Range] = []
        """Ranges that other jobs have claimed in their notes, where the claim is true."""

    def __enter__(self) -> SharedFileEditor:
        self._file = self._opened()
        if self._file is not None:
            self.contents = Contents(self._file)
            try:
                self._read_notes()
            except BaseException:
                os.close(self._file)
                raise
        return self

    def _read_notes(self) -> None:
        self._notes = list(self._note_file.others())
        held = [self.contents.held(found.note) for _, found in self._notes]
        self.others = [piece for claim in held if claim is not None for piece in claim.ranges]

    def _opened(self) -> int | None:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR)
            except FileNotFoundError:
                return None
            there = False
            try:
                take_turn(file, wait=self._wait)
                # The job that held the lock may have replaced the file.
                there = is_at(file, self._path)
            finally:
                if not there:
                    os.close(file)
            if there:
                return file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def proven(self, note: OwnershipNote) -> Claim | None:
        """The claim that the job's note proves; ``None``: its bytes cannot be told from others'."""
        return self.contents.proven(note, self.others)

    def unclaimed(self, ranges: Sequence[Range]) -> list[Range]:
        """The part of the ranges that exists and that no other job has claimed."""
        return minus(within(ranges, self.contents.size), self.others)

    def unclaimed_after(self, offset: int) -> list[Range]:
        """The ranges from the offset to the end of the file that no other job has claimed."""
        return self.unclaimed([(offset, self.contents.size)])

    def remainder_of(self, claim: Claim) -> Claim:
        """What is left of a claim in a file that was truncated.

        Raises ``FeedFileChangedError`` if the file was changed in another way.
        """
        if not self.contents.is_cut(claim):
            raise self.changed()
        return self.contents.claim_on(self.unclaimed(claim.ranges))

    def changed(self) -> FeedFileChangedError:
        """The error for a file whose bytes are not the ones that the job wrote."""
        return FeedFileChangedError(f"somebody else has changed what the job wrote to {self._path}")

    def empty(self) -> None:
        """Truncate the file to nothing, other jobs' bytes included."""
        assert self._file is not None
        os.ftruncate(self._file, 0)
        os.fsync(self._file)
        for path, found in self._notes:
            # What is written there later must not look like theirs.
            self._reduce(path, found.note, [])

    # ---- after a power cut

    def own_after_power_cut(self, note: OwnershipNote, base: int | None, committed: Claim) -> Claim:
        """All bytes that may be this job's if its note may be older than the file.

        ``base``: the offset at which the job began, if the note does not say. ``committed``: what
        the store knows to be the job's, which need not be true.
        """
        known = committed if self.contents.holds(committed) else Claim()
        return self.contents.claim_on(self._possible(note, base, known, self.others))

    def _possible(
        self, note: OwnershipNote, base: int | None, known: Claim, others: Sequence[Range]
    ) -> list[Range]:
        """The bytes from a job's first one on that are not proven to be others'."""
        held = self.contents.held(note) or Claim()
        starts = [claim.ranges[0][0] for claim in (held, known) if claim.ranges]
        start = min(starts, default=base if note.start is None else note.start)
        if start is None:
            return []
        foreign = [*gaps_of(held.ranges), *gaps_of(known.ranges), *others]
        return minus([(start, self.contents.size)], foreign)

    def _settle_others(self, own: Sequence[Range]) -> None:
        """Write into each note that may be older than the file which bytes are its job's: all that
        may be, without those in ``own``.

        A byte that may be of several jobs is given to one of them; the store of each knows what the
        job lacks then.
        """
        held = {path: self.contents.held(found.note) or Claim() for path, found in self._notes}
        for number, (path, found) in enumerate(self._notes):
            note = found.note
            if found.is_current or note.start is None:
                continue
            others = [piece for one in held if one != path for piece in held[one].ranges]
            ranges = self._possible(note, None, Claim(), [*own, *others])
            reduced = self._reduce(path, note, ranges)
            held[path] = reduced.claim
            self._notes[number] = path, FoundNote(reduced, is_current=True)

    def _reduce(self, path: Path, note: OwnershipNote, ranges: Sequence[Range]) -> OwnershipNote:
        """Write a note of a job that is not running: the ranges are its bytes, and all of them."""
        base = None if ranges else self.contents.size
        reduced = note_of(self.contents.claim_on(ranges), base=base)
        reduced = replace(reduced, at_rest=True, reduced=True, completed=note.completed)
        self._note_file.write_other(path, reduced, note.by)
        return reduced

    # ---- changes

    def drop(self, ranges: Sequence[Range], own: Claim, rest: Claim) -> None:
        """Remove ranges of the job's bytes from the file.

        ``own``: the proven claim on all the job's bytes; ``rest``: the claim that remains.
        """
        drop = within(ranges, self.contents.size)
        if drop:
            assert self._file is not None
            self._note_file.write(note_of(rest, before=own), synced=True)
            if minus([(drop[0][0], self.contents.size)], drop):
                self._carry(own, drop, 0)
                rewrite(self._path, self._note_file.copy, drop)
            else:
                os.ftruncate(self._file, drop[0][0])
                os.fsync(self._file)
        size = self._path.stat().st_size
        self._note_file.write(note_of(rest, base=None if rest.ranges else size), synced=True)

    def put(self, own: Claim, drop: Sequence[Range], insert: IO[bytes]) -> Claim:
        """Remove the ranges in ``drop`` and insert new bytes where the first of them was (at the
        end if there is none). ``own``: the claim before. Returns the claim on the new bytes."""
        drop = within(drop, self.contents.size)
        claim = claim_of(insert, drop[0][0] if drop else self.contents.size)
        self._note_file.write(note_of(claim, before=own), synced=True)
        self._carry(own, drop, claim.size)
        insert.seek(0)
        rewrite(self._path, self._note_file.copy, drop, insert)
        self._note_file.write(replace(note_of(claim), at_rest=True), synced=True)
        return claim

    def _carry(self, own: Claim, drop: Sequence[Range], inserted: int) -> None:
        """Update the notes of other jobs with the ranges that their bytes are about to have."""
        self._settle_others(own.ranges)
        for path, found in self._notes:
            note = found.note
            claim = self.contents.proven(note, own.ranges)
            if claim is None:
                continue  # that job finds out in the same way when it resumes
            ranges = tuple(moved(claim.ranges, drop, inserted))
            base = None if note.start is None else place_after(note.start, drop, inserted)
            if ranges != tuple(claim.ranges) or (not ranges and base != note.start):
                carried = note_of(replace(claim, ranges=ranges), before=claim, base=base)
                carried = replace(
                    carried,
                    at_rest=note.at_rest,
                    reduced=note.reduced,
                    completed=note.completed,
                )
                self._note_file.write_other(path, carried, note.by)


def fence_off(path: Path, note_file: NoteFile) -> None:
    """Replace the file by a copy, so that a process that has lost the job and may not know it yet
    goes on writing to the old file, which has no name any more.

    This does not wait for that process, which may hang in the middle of a write.
    """
    file = os.open(path, os.O_RDWR)
    try:
        with suppress(BlockingIOError):
            take_turn(file, wait=False)
        with note_file.taken_over():
            rewrite(path, note_file.copy)
    finally:
        os.close(file)


def claim_of(file: IO[bytes], start: int) -> Claim:
    """The claim on the bytes of ``file`` once they are inserted at an offset of another file."""
    claim = Contents(file.fileno()).claim_on([(0, os.fstat(file.fileno()).st_size)])
    return replace(claim, ranges=[(start, start + claim.size)] if claim.ranges else ())


def rewrite(
    path: Path, copy: Path, drop: Sequence[Range] = (), insert: IO[bytes] | None = None
) -> None:
    """Replace a file by a copy without the ranges in ``drop`` and with the bytes of ``insert``
    where the first of them was (at the end if ``drop`` is empty).

    A process that has the old file open goes on writing to a file that has no name any more.
    Raises ``OSError``; the file is unchanged then.
    """
    size = path.stat().st_size if path.exists() else 0
    offset = drop[0][0] if drop else size
    try:
        # A new feed has the mode of any new file, a copy that of the feed.
        mode = 0o600 if path.exists() else 0o666
        with os.fdopen(create_file(copy, os.O_WRONLY, mode), "wb") as target:
            copy_ranges(path, minus([(0, offset)], drop), target)
            if insert is not None:
                shutil.copyfileobj(insert, target, CHUNK)
            copy_ranges(path, minus([(offset, size)], drop), target)
            target.flush()
            os.fsync(target.fileno())
            if path.exists():
                shutil.copymode(path, copy)
            copy.replace(path)
        sync_directory(path.parent)
    except OSError:
        copy.unlink(missing_ok=True)  # if the disk is full, the room is needed
        raise


def copy_ranges(path: Path, ranges: Sequence[Range], target: IO[bytes]) -> None:
    """Copy ranges of a file, in order."""
    if not ranges:
        return
    with path.open("rb") as source:
        for start, end in ranges:
            source.seek(start)
            while start < end and (chunk := source.read(min(CHUNK, end - start))):
                target.write(chunk)
                start += len(chunk)
