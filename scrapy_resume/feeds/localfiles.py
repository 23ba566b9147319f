"""Local files that a feed is written to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol, TypeVar

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.footprint import Footprint, note_of
from scrapy_resume.feeds.ownfile import OwnFile
from scrapy_resume.feeds.ranges import Range, minus
from scrapy_resume.feeds.record import Claim, FeedRecord, rewound
from scrapy_resume.feeds.rewriting import Rewriting, fence_off

T = TypeVar("T")


class Threaded(Protocol):
    """Runs a call in a thread."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Its result, or what it raised."""


class AppendedFile:
    """A local file, as Scrapy's storage for files: grows with each commit."""

    goes_on = True
    partial = False

    def __init__(
        self, path: Path, owner: str, threaded: Threaded, *, overwrite: bool, fence: bool
    ) -> None:
        self._path = path
        self._footprint = Footprint(path, owner)
        self._overwrite = overwrite
        self._threaded = threaded
        self._fence = fence
        self._file: OwnFile | None = None

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Cut back to what is committed what the job itself has put there since."""
        if not self._path.exists():
            return rewound(record)
        if self._fence:
            fence_off(self._path, self._footprint)
        with Rewriting(self._path, self._footprint) as file:
            own = self._own_bytes(file, record)
            committed = file.contents.first_bytes(record.claim, own)
            if own.ranges or self._footprint.path.exists():
                file.drop(minus(own.ranges, committed.ranges), own, committed)
        if not committed.ranges:
            return rewound(record)
        self._file = OwnFile(self._path, self._footprint, committed)
        return replace(record, claim=committed, noted=True)

    def _own_bytes(self, file: Rewriting, record: FeedRecord) -> Claim:
        """Those that the store does not know included, and the format's end.

        Raises ``FeedFileChangedError`` if they cannot be told from what somebody else has
        written.
        """
        note = self._footprint.read()
        if note is None:
            return self._without_note(file, record)
        own, known = file.proven(note), record.claim
        if own is None or (own.size < known.size <= note.size and not file.contents.is_cut(known)):
            raise _changed(self._path)
        return own

    def _without_note(self, file: Rewriting, record: FeedRecord) -> Claim:
        claim = record.claim
        if not file.contents.holds(claim):
            return _cut(file, claim, self._path)
        if record.noted and (claim.ranges or record.base is not None):
            behind = _all_behind(file, claim.end if claim.ranges else record.base or 0)
            return file.contents.claim_on([*claim.ranges, *behind])
        if record.ending is None:
            return claim
        ended = Claim([*claim.ranges, record.ending], record.ended, claim.head)
        if not file.contents.holds(ended):
            return _cut(file, ended, self._path)
        return ended

    def open(self, record: FeedRecord) -> FeedRecord:
        """Open the file, and empty it if the job begins and is to overwrite it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The note tells of a beginning that the store does not know yet.
        begun = record.begun or self._footprint.path.exists()
        if self._overwrite and not begun and self._path.exists():
            with Rewriting(self._path, self._footprint, wait=False) as file:
                file.empty()
        if self._file is None:
            self._file = OwnFile(self._path, self._footprint)
        self._file.begin()
        base = self._file.size if record.base is None else record.base
        return replace(record, base=base, noted=True)

    @property
    def offset(self) -> int:
        """Behind what stands there."""
        return 0 if self._file is None else self._file.size

    def write(self, chunk: bytes) -> None:
        """Append to the file."""
        assert self._file is not None
        self._file.append(chunk)

    def note(self, record: FeedRecord) -> FeedRecord:
        """With the ranges and the digest of what was appended."""
        if self._file is None:
            return record
        return replace(record, claim=self._file.claim, begun=True)

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """The end of the format is taken off again if the job goes on."""
        assert self._file is not None
        await self._threaded(self._file.sync)
        if ending_bytes:
            ended = self._file.claim
            ending = (ended.end - ending_bytes, ended.end)
            record = replace(record, ending=ending, ended=ended.digest)
        self.close()
        return record

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def forget(self) -> None:
        """Remove the note beside the file."""
        self._footprint.remove()


def _changed(path: Path) -> FeedFileChangedError:
    return FeedFileChangedError(f"somebody else has changed what the job wrote to {path}")


def _cut(file: Rewriting, claim: Claim, path: Path) -> Claim:
    """What is left of a claim. Raises ``FeedFileChangedError``."""
    if not file.contents.is_cut(claim):
        raise _changed(path)
    return file.contents.claim_on(file.unclaimed(claim.ranges))


def _all_behind(file: Rewriting, offset: int) -> list[Range]:
    """The note beside the file went when the job was completed, and the store is older."""
    return file.unclaimed([(offset, file.contents.size)])


class PlacedFile:
    """A local file whose bytes are not those of its items one after the other: it is compressed,
    say. It is made whole beside its place, and put there when the job pauses or completes."""

    goes_on = False
    partial = False

    def __init__(self, path: Path, owner: str, threaded: Threaded, *, overwrite: bool) -> None:
        self._path = path
        self._footprint = Footprint(path, owner)
        self._threaded = threaded
        self._overwrite = overwrite
        self._is_placed = False
        """Bytes of the job are in the file."""
        self._over: Sequence[Range] = ()
        """What others had there when the job began, if that is to go."""
        self._file: IO[bytes] | None = None

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Find the job's bytes in the file that is there: they are to be replaced."""
        if self._path.exists():
            with Rewriting(self._path, self._footprint) as file:
                own = self._own_bytes(file, record)
                if own.ranges:
                    self._footprint.write(note_of(own))
            self._is_placed = bool(own.ranges)
        return replace(rewound(record), claim=record.claim)

    def _own_bytes(self, file: Rewriting, record: FeedRecord) -> Claim:
        """Those that are in the file. Raises ``FeedFileChangedError``."""
        note, claim = self._footprint.read(), record.claim
        own = None if note is None else file.proven(note)
        if own is not None:
            return own
        if claim.ranges and file.contents.holds(claim):
            return claim
        if note is None and record.noted and record.base is not None:
            return file.contents.claim_on(_all_behind(file, record.base))
        if note is None and not claim.ranges:
            return claim
        return _cut(file, claim, self._path)

    def open(self, record: FeedRecord) -> FeedRecord:
        """Begin the file beside its place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        size = self._path.stat().st_size if self._path.exists() else 0
        if not self._is_placed:
            self._footprint.write(note_of(Claim()))
            if self._overwrite and not record.begun:
                self._over, size = ((0, size),), 0
        # A new one: a process that had the job before may still write to the old.
        self._footprint.part.unlink(missing_ok=True)
        self._file = self._footprint.part.open("wb+")
        return replace(record, base=size if record.base is None else record.base, noted=True)

    @property
    def offset(self) -> int:
        """It is a file of its own."""
        return 0

    def write(self, chunk: bytes) -> None:
        """Add to the file beside its place."""
        assert self._file is not None
        self._file.write(chunk)

    def note(self, record: FeedRecord) -> FeedRecord:
        """Nothing changes before the file is in its place."""
        return record

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Put the file in its place, before or behind what others have written there."""
        return await self._threaded(lambda: self._place(record))

    def _place(self, record: FeedRecord) -> FeedRecord:
        assert self._file is not None
        self._file.flush()
        with Rewriting(self._path, self._footprint) as file:
            if self._footprint.is_lost():
                raise FeedFileChangedError(f"another process writes to {self._path}")
            own = self._own_bytes(file, record)
            claim = file.put(own, self._over or own.ranges, self._file)
        self.close()
        self._is_placed, self._over = True, ()
        return replace(record, claim=claim, begun=True)

    def close(self) -> None:
        """Drop what is not in its place."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._footprint.part.unlink(missing_ok=True)
        self._footprint.close()

    def forget(self) -> None:
        """Remove the note beside the file."""
        self._footprint.remove()
