"""Taking a job's bytes out of a file, or putting others in their place, with all else unharmed.

What stands behind them moves, and with it the bytes that other jobs have noted as theirs. So
their notes are changed with the file: they say where the bytes will be, and where they are; a
death at any moment leaves one of the two true. The job's own note is written in the same way.
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

from scrapy_resume.feeds.file_lock import is_at, take_turn
from scrapy_resume.feeds.footprint import Footprint, Note, note_of
from scrapy_resume.feeds.proof import CHUNK, Contents
from scrapy_resume.feeds.ranges import Range, minus, moved, within
from scrapy_resume.feeds.record import Claim


class Rewriting:
    """A local file that no other job writes to in the meantime. It need not exist.

    Without waiting, entering it raises ``BlockingIOError`` when others don't let go of it.
    """

    def __init__(self, path: Path, footprint: Footprint, *, wait: bool = True) -> None:
        self._path = path
        self._footprint = footprint
        self._wait = wait
        self._file: int | None = None
        self._notes: list[tuple[Path, Note]] = []
        self.contents = Contents(None)
        self.others: list[Range] = []
        """Bytes that other jobs have noted as theirs, and that are there."""

    def __enter__(self) -> Rewriting:
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
        self._notes = list(self._footprint.others())
        held = [self.contents.held(note) for _, note in self._notes]
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
                # Whoever had it may have put another in its place.
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

    def proven(self, note: Note) -> Claim | None:
        """The job's bytes by its note; ``None`` if they cannot be told from others'."""
        return self.contents.proven(note, self.others)

    def unclaimed(self, ranges: Sequence[Range]) -> list[Range]:
        """Of these bytes those that are there, and not others'."""
        return minus(within(ranges, self.contents.size), self.others)

    def empty(self) -> None:
        """Drop everything, others' bytes as well."""
        assert self._file is not None
        os.ftruncate(self._file, 0)
        for path, note in self._notes:
            # What comes to stand there may look like theirs.
            self._footprint.write_other(path, replace(note_of(Claim()), by=note.by))

    def drop(self, ranges: Sequence[Range], own: Claim, rest: Claim) -> None:
        """Take bytes of the job's own, which are proven, out of the file; the rest stays."""
        drop = within(ranges, self.contents.size)
        if drop:
            assert self._file is not None
            self._footprint.write(note_of(rest, before=own))
            if minus([(drop[0][0], self.contents.size)], drop):
                self._carry(own, drop, 0)
                rewrite(self._path, self._footprint.copy, drop)
            else:
                os.ftruncate(self._file, drop[0][0])
        self._footprint.write(note_of(rest))

    def put(self, own: Claim, drop: Sequence[Range], insert: IO[bytes]) -> Claim:
        """Put new bytes in the place of the own ones (at the end, if none are dropped), and drop
        others that are to go. Returns the claim on the new ones."""
        drop = within(drop, self.contents.size)
        claim = claim_of(insert, drop[0][0] if drop else self.contents.size)
        self._footprint.write(note_of(claim, before=own))
        self._carry(own, drop, claim.size)
        insert.seek(0)
        rewrite(self._path, self._footprint.copy, drop, insert)
        self._footprint.write(note_of(claim))
        return claim

    def _carry(self, own: Claim, drop: Sequence[Range], inserted: int) -> None:
        """Tell the others where their bytes will be."""
        for path, note in self._notes:
            claim = self.contents.proven(note, own.ranges)
            if claim is None:
                continue  # its job finds that as we do
            ranges = tuple(moved(claim.ranges, drop, inserted))
            if ranges != tuple(claim.ranges):
                carried = note_of(replace(claim, ranges=ranges), before=claim)
                self._footprint.write_other(path, replace(carried, by=note.by))


def fence_off(path: Path, footprint: Footprint) -> None:
    """Have a process that lost the job, and may not know it yet, write to a file without a name.

    It is not waited for: it may stand still in the middle of a write.
    """
    file = os.open(path, os.O_RDWR)
    try:
        with suppress(BlockingIOError):
            take_turn(file, wait=False)
        with footprint.taken_over():
            rewrite(path, footprint.copy)
    finally:
        os.close(file)


def claim_of(file: IO[bytes], start: int) -> Claim:
    """All of a file, once it stands at that offset of another one."""
    claim = Contents(file.fileno()).claim_on([(0, os.fstat(file.fileno()).st_size)])
    return replace(claim, ranges=[(start, start + claim.size)] if claim.ranges else ())


def rewrite(
    path: Path, copy: Path, drop: Sequence[Range] = (), insert: IO[bytes] | None = None
) -> None:
    """Put a file in the place of another: without some bytes, and with new ones where the first
    of them were (at the end, if none are dropped).

    Whoever has the old file open goes on writing to a file without a name.
    """
    size = path.stat().st_size if path.exists() else 0
    offset = drop[0][0] if drop else size
    try:
        with copy.open("wb") as target:
            _copy_ranges(path, minus([(0, offset)], drop), target)
            if insert is not None:
                shutil.copyfileobj(insert, target, CHUNK)
            _copy_ranges(path, minus([(offset, size)], drop), target)
            target.flush()
            os.fsync(target.fileno())
        if path.exists():
            shutil.copymode(path, copy)
        copy.replace(path)
    except OSError:
        copy.unlink(missing_ok=True)  # a disk that is full has no room for it
        raise


def _copy_ranges(path: Path, ranges: Sequence[Range], target: IO[bytes]) -> None:
    if not ranges:
        return
    with path.open("rb") as source:
        for start, end in ranges:
            source.seek(start)
            while start < end and (chunk := source.read(min(CHUNK, end - start))):
                target.write(chunk)
                start += len(chunk)
