"""Where the bytes of a feed's file go."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scrapy.extensions.feedexport import FileFeedStorage, FTPFeedStorage, StdoutFeedStorage
from scrapy.utils.defer import ensure_awaitable

from scrapy_resume.errors import FeedNotStoredError
from scrapy_resume.feeds.localfiles import AppendedFile, PlacedFile
from scrapy_resume.feeds.record import FeedRecord, rewound

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Spider

    from scrapy_resume.feeds.localfiles import Threaded


@dataclass(frozen=True)
class FeedPlace:
    """What a target has to know of its feed."""

    spider: Spider
    owner: Callable[[Path], str]
    """Who writes to a file: tells this job from all others."""
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
    owner = feed.owner(path)
    if feed.post_processed:
        return PlacedFile(path, owner, feed.threaded, overwrite=feed.overwrite)
    return AppendedFile(path, owner, feed.threaded, overwrite=feed.overwrite, fence=feed.fence)


def local_path(storage: Any, record: FeedRecord) -> Path | None:
    """The file of a feed, links followed; ``None``: it is not one that Scrapy writes itself."""
    kind = type(storage)
    if (
        not isinstance(storage, FileFeedStorage)
        or kind.open is not FileFeedStorage.open
        or kind.store is not FileFeedStorage.store
    ):
        return None
    return Path(os.path.realpath(record.path or storage.path))


def free_name(path: Path) -> Path:
    """A name beside a file that no file has."""
    numbers = itertools.count(2)
    name = path.with_name(f"{path.stem}.resumed{path.suffix}")
    while name.exists():
        name = path.with_name(f"{path.stem}.resumed-{next(numbers)}{path.suffix}")
    return name
