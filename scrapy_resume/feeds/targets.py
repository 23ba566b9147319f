"""Where the bytes of a feed's file go."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from scrapy.extensions.feedexport import FileFeedStorage, FTPFeedStorage, StdoutFeedStorage
from scrapy.utils.defer import ensure_awaitable

from scrapy_resume.errors import FeedFileChangedError, FeedNotStoredError
from scrapy_resume.feeds.footprint import Footprint
from scrapy_resume.feeds.ownfile import OwnFile, claim_of, drop_ranges, minus, rewrite
from scrapy_resume.feeds.record import Claim, FeedRecord, rewound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from scrapy import Spider

    from scrapy_resume.feeds.record import Range

T = TypeVar("T")


class Threaded(Protocol):
    """Runs a call in a thread."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Its result, or what it raised."""


@dataclass(frozen=True)
class FeedPlace:
    """What a target has to know of its feed."""

    spider: Spider
    owner: str
    """Tells this job from all others."""
    threaded: Threaded
    post_processed: bool
    overwrite: bool
    """What is there when the job begins is dropped."""
    fence: bool
    """A live process may be writing to the file: the job was taken over by force."""


class Target(Protocol):
    """Takes the bytes of one file, in order."""

    goes_on: bool
    """After ``OSError``, ``write(b"")`` goes on with the rest; otherwise all is to be written
    again."""
    partial: bool
    """What was delivered stays delivered: a later delivery holds only what came since."""

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Find what earlier runs left. Returns the record to go on from: the one given if the
        file goes on where it was, one without items if it is written again.

        Raises ``FeedFileChangedError`` if the file is not as it was left.
        """

    def open(self, record: FeedRecord) -> FeedRecord:
        """Begin the file; the record says so in the store already."""

    @property
    def offset(self) -> int:
        """At which the first byte of an opened file stands; 0 if that means nothing."""

    def write(self, chunk: bytes) -> None:
        """Take more. Raises ``OSError``."""

    def note(self, record: FeedRecord) -> FeedRecord:
        """The record of what was taken so far."""

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """All is taken, and the last so many bytes end the format: bring the file to where it
        belongs. The record is that without the end. May be called again after ``OSError``."""

    def close(self) -> None:
        """Let go of everything, delivered or not."""

    def forget(self) -> None:
        """The file will not be opened again: clear away what stands beside it."""


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
        noted = self._footprint.read()
        if not self._path.exists():
            return rewound(record)
        if self._fence:
            rewrite(self._path, ())
        with contextlib.closing(OwnFile(self._path, self._footprint)) as file:
            whole = bool(record.claim.ranges) and file.adopt(record.claim)
            if whole:
                drop = _uncommitted(file, record, noted)
            else:
                drop = _own_bytes(file, record, noted).ranges
        drop_ranges(self._path, drop)
        if not whole:
            return rewound(record)
        self._file = OwnFile(self._path, self._footprint)
        self._file.adopt(record.claim)
        self._footprint.write(record.claim)
        return replace(record, noted=True)

    def open(self, record: FeedRecord) -> FeedRecord:
        """Open the file, and empty it if the job begins and is to overwrite it."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = OwnFile(self._path, self._footprint)
        if self._overwrite and not record.begun:
            self._file.truncate()
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
            end = self._file.claim.end
            record = replace(record, ending=(end - ending_bytes, end))
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


def _uncommitted(file: OwnFile, record: FeedRecord, noted: Claim | None) -> Sequence[Range]:
    """The job's bytes that the store does not know, the format's end included."""
    if noted is not None:
        return minus(noted.ranges, record.claim.ranges)
    if record.noted:
        return _all_behind(file, record.claim.end)
    return [record.ending] if record.ending else []


def _own_bytes(
    file: OwnFile, record: FeedRecord, noted: Claim | None, before: Claim | None = None
) -> Claim:
    """The job's bytes in a file that does not hold what is committed.

    Raises ``FeedFileChangedError`` if they cannot be told from what somebody else has written.
    """
    known = [claim for claim in (noted, before, record.claim) if claim is not None and claim.ranges]
    for holds in (file.adopt, file.is_cut):
        for claim in known:
            if holds(claim):
                return claim
    if record.claim.ranges:
        raise FeedFileChangedError(f"somebody else has changed what the job wrote to {file.path}")
    if noted is None and record.noted and record.base is not None:
        return file.claim_on(_all_behind(file, record.base))
    return Claim()


def _all_behind(file: OwnFile, offset: int) -> Sequence[Range]:
    """The note beside the file went when the job was completed, and the store is older."""
    return [(offset, file.size)] if offset < file.size else []


class PlacedFile:
    """A local file whose bytes are not those of its items one after the other: it is compressed,
    say. It is made whole beside its place, and put there when the job pauses or completes."""

    goes_on = False
    partial = False

    def __init__(self, path: Path, owner: str, threaded: Threaded, *, overwrite: bool) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._footprint = Footprint(path, owner)
        self._threaded = threaded
        self._overwrite = overwrite
        self._own = Claim()
        """What of the file is the job's, as it stands there now."""
        self._drop: Sequence[Range] = ()
        self._file: IO[bytes] | None = None

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Find the job's bytes in the file that is there: they are to be replaced."""
        if self._path.exists():
            with contextlib.closing(OwnFile(self._path, self._footprint)) as file:
                noted = self._footprint.read()
                if noted is None and record.noted and record.base is not None:
                    claim = file.claim_on(_all_behind(file, record.base))
                else:
                    claim = _own_bytes(file, record, noted, self._footprint.read_before())
            self._own = claim
            self._drop = claim.ranges
            self._footprint.write(claim)
        return replace(rewound(record), claim=record.claim)

    def open(self, record: FeedRecord) -> FeedRecord:
        """Begin the file beside its place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        size = self._path.stat().st_size if self._path.exists() else 0
        if self._overwrite and not record.begun:
            self._drop = ((0, size),)
            size = 0
        self._file = self._part.open("wb+")
        if not self._drop:
            self._footprint.write(Claim())
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
        size = self._path.stat().st_size if self._path.exists() else 0
        claim = claim_of(self._file, self._drop[0][0] if self._drop else size)
        self._footprint.write(claim, before=self._own)
        self._file.seek(0)
        rewrite(self._path, self._drop, self._file)
        self.close()
        self._own, self._drop = claim, claim.ranges
        return replace(record, claim=claim, begun=True)

    def close(self) -> None:
        """Drop what is not in its place."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._part.unlink(missing_ok=True)
        self._footprint.close()

    def forget(self) -> None:
        """Remove the note beside the file."""
        self._footprint.remove()


class Upload:
    """Any other storage of Scrapy's or of the user's: it is given a whole file when the job
    pauses or completes."""

    goes_on = False

    def __init__(self, storage: Any, spider: Spider) -> None:
        self._storage = storage
        self._spider = spider
        self._file: Any = None
        self.partial = isinstance(storage, FTPFeedStorage) and not storage.overwrite

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Begin again: the storage's file went with the process."""
        return rewound(record)

    def open(self, record: FeedRecord) -> FeedRecord:
        """Have the storage open a file, a temporary one mostly."""
        self._file = self._storage.open(self._spider)
        return record

    @property
    def offset(self) -> int:
        """It is a file of its own."""
        return 0

    def write(self, chunk: bytes) -> None:
        """Add to the storage's file."""
        if chunk:
            self._file.write(chunk)

    def note(self, record: FeedRecord) -> FeedRecord:
        """Nothing of it lasts before it is stored."""
        return record

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Have the storage store the file. Raises ``FeedNotStoredError``."""
        file, self._file = self._file, None
        try:
            await ensure_awaitable(self._storage.store(file))
        except Exception as error:
            raise FeedNotStoredError(f"{type(error).__name__}: {error}") from error
        return record

    def close(self) -> None:
        """Drop what is not stored."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def forget(self) -> None:
        """Nothing stands beside it."""


class Stream(Upload):
    """Standard output, or a local file that is none (a pipe): what is written is gone. Each run
    writes a document of its own, of the items that no run has written."""

    def __init__(self, storage: Any, spider: Spider) -> None:
        super().__init__(storage, spider)
        self.partial = True

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Go on behind what was written."""
        return rewound(replace(record, start=record.through))

    def write(self, chunk: bytes) -> None:
        """Write, at once."""
        self._file.write(chunk)
        self._file.flush()

    def close(self) -> None:
        """It belongs to the process."""
        self._file = None


def target_of(
    storage: Any,
    feed: FeedPlace,
    record: FeedRecord,
) -> Target:
    """The target for what Scrapy's storage of a feed stands for."""
    path = local_path(storage, record)
    if path is None or (path.exists() and not path.is_file()):
        streams = path is not None or isinstance(storage, StdoutFeedStorage)
        return (Stream if streams else Upload)(storage, feed.spider)
    if feed.post_processed:
        return PlacedFile(path, feed.owner, feed.threaded, overwrite=feed.overwrite)
    return AppendedFile(path, feed.owner, feed.threaded, overwrite=feed.overwrite, fence=feed.fence)


def local_path(storage: Any, record: FeedRecord) -> Path | None:
    """The file of a feed, links followed; ``None``: it is not one that Scrapy writes itself."""
    if type(storage) is not FileFeedStorage:
        return None
    return Path(os.path.realpath(record.path or storage.path))


def free_name(path: Path) -> Path:
    """A name beside a file that no file has."""
    numbers = itertools.count(2)
    name = path.with_name(f"{path.stem}.resumed{path.suffix}")
    while name.exists():
        name = path.with_name(f"{path.stem}.resumed-{next(numbers)}{path.suffix}")
    return name
