"""Chooses where the bytes of a feed's file go: a local file, a post-processed one, an upload."""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scrapy.extensions.feedexport import FileFeedStorage, StdoutFeedStorage

from scrapy_resume.feeds.appended_file import AppendedFile
from scrapy_resume.feeds.deleted_jobs import set_aside_deleted_jobs
from scrapy_resume.feeds.ownership_note import NoteFile
from scrapy_resume.feeds.post_processed_file import PostProcessedFile
from scrapy_resume.feeds.uploads import Stream, Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Spider

    from scrapy_resume.feeds.feed_record import FeedRecord
    from scrapy_resume.feeds.thread_call import InThread

logger = logging.getLogger("scrapy_resume")


@dataclass(frozen=True)
class DestinationOptions:
    """What a destination needs to know of its feed."""

    spider: Spider
    owner: Callable[[Path], str]
    """Who writes to a local file: a text that tells this feed of this job from all others."""
    in_thread: InThread
    post_processed: bool
    overwrite: bool
    """What the file holds when the job begins is dropped."""
    fence: bool
    """The job was taken over by force: a live process may still be writing to the file."""
    place: str = ""
    """Where the job is recorded: the store and the job's name; empty: it is not known."""
    lives: Callable[[str], bool] = lambda _: True
    """Whether the store has the job of an owner text."""
    is_first: bool = False
    """No destination of the feed was made in this run yet."""


class Destination(Protocol):
    """Takes the bytes of one file, in order."""

    can_finish_write: bool
    """After ``OSError``, ``write(b"")`` writes the rest; if false, the file has to be rewritten."""
    keeps_deliveries: bool
    """What was delivered stays delivered: a later delivery has only the items that came since."""

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Find what earlier runs left. Returns the record to go on from: the one given if the
        file goes on where it was, one without items if it has to be rewritten.

        Raises ``FeedFileChangedError`` if somebody else has changed the file.
        """

    def planned(self, record: FeedRecord) -> FeedRecord:
        """The record that the store has to have, synced, before the file is opened."""

    async def open(self, record: FeedRecord) -> FeedRecord:
        """Begin the file. The store has the record already. Raises ``OSError``."""

    @property
    def offset(self) -> int:
        """The offset of the next byte in an opened file; 0 if the destination has no offsets."""

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises ``OSError``, and ``FeedFileChangedError`` for a local file."""

    def updated(self, record: FeedRecord) -> FeedRecord:
        """The record, brought up to date with what was written so far."""

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Bring the file, which is complete, to its place. The last ``ending_bytes`` bytes end
        the format; the record was taken before they were written.

        Raises ``OSError``, after which it may be called again.
        """

    def rest(self) -> None:
        """The file was delivered, and is left as it is until the job is resumed. Raises
        ``OSError``."""

    def close(self) -> None:
        """Release all resources, whether the file was delivered or not."""

    def remove_note(self) -> None:
        """Remove the ownership note: the file will not be opened again."""


def destination_of(storage: Any, options: DestinationOptions, record: FeedRecord) -> Destination:
    """The destination that does the work of a storage of Scrapy's."""
    path = local_path(storage, record)
    if path is None or (path.exists() and not path.is_file()):
        streams = path is not None or isinstance(storage, StdoutFeedStorage)
        return (Stream if streams else Upload)(storage, options.spider)
    owner, overwrite = options.owner(path), options.overwrite
    if options.is_first:
        for abandoned in NoteFile(path, owner).remove_abandoned():
            logger.info("%s was left by a process that died; it is removed", abandoned)
    place = options.place
    if not (record.begun or overwrite):
        set_aside_deleted_jobs(path, NoteFile(path, owner, place), options.lives, free_name)
    if options.post_processed:
        return PostProcessedFile(path, owner, options.in_thread, overwrite=overwrite, place=place)
    return AppendedFile(
        path, owner, options.in_thread, overwrite=overwrite, fence=options.fence, place=place
    )


def local_path(storage: Any, record: FeedRecord) -> Path | None:
    """The local file of a feed, with links resolved; ``None`` unless the storage opens and stores
    it in the way of Scrapy's own ``FileFeedStorage``."""
    kind = type(storage)
    if (
        not isinstance(storage, FileFeedStorage)
        or kind.open is not FileFeedStorage.open
        or kind.store is not FileFeedStorage.store
    ):
        return None
    return Path(os.path.realpath(record.path or storage.path))


def free_name(path: Path, word: str = "resumed") -> Path:
    """A path beside the given one at which there is no file."""
    numbers = itertools.count(2)
    name = path.with_name(f"{path.stem}.{word}{path.suffix}")
    while name.exists():
        name = path.with_name(f"{path.stem}.{word}-{next(numbers)}{path.suffix}")
    return name
