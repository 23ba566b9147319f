"""Uploads (S3, GCS, FTP, a user's storage) and streams (standard output, pipes)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scrapy.extensions.feedexport import FTPFeedStorage
from scrapy.utils.defer import ensure_awaitable

from scrapy_resume.errors import FeedNotStoredError, message_of
from scrapy_resume.feeds.feed_record import FeedRecord, rewound

if TYPE_CHECKING:
    from scrapy import Spider


class Upload:
    """A destination: any storage that is given a whole file when the job pauses or completes.

    Each time it gets the items of the whole job, except an FTP storage that appends.
    """

    can_finish_write = False

    def __init__(self, storage: Any, spider: Spider) -> None:
        self._storage = storage
        self._spider = spider
        self._file: Any = None
        self.keeps_deliveries = isinstance(storage, FTPFeedStorage) and not storage.overwrite

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Start with the first item: the storage's temporary file ended with its process."""
        return rewound(record)

    def planned(self, record: FeedRecord) -> FeedRecord:
        """The record unchanged."""
        return record

    async def open(self, record: FeedRecord) -> FeedRecord:
        """Have the storage open a file, in most cases a temporary one."""
        self._file = self._storage.open(self._spider)
        return record

    @property
    def offset(self) -> int:
        """0: the storage's file begins empty."""
        return 0

    def write(self, chunk: bytes) -> None:
        """Write to the storage's file. Raises ``OSError``."""
        if chunk:
            self._file.write(chunk)

    def updated(self, record: FeedRecord) -> FeedRecord:
        """The record unchanged: nothing is stored before the delivery."""
        return record

    async def deliver(self, record: FeedRecord, ending_bytes: int) -> FeedRecord:
        """Have the storage store the file. Raises ``FeedNotStoredError``."""
        file, self._file = self._file, None
        try:
            await ensure_awaitable(self._storage.store(file))
        except Exception as error:
            raise FeedNotStoredError(f"{type(error).__name__}: {message_of(error)}") from error
        return record

    def rest(self) -> None:
        """Nothing to do: the storage has the file."""

    def close(self) -> None:
        """Close the storage's file unless it was stored."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove_note(self) -> None:
        """Does nothing: uploads have no ownership note."""


class Stream(Upload):
    """A destination: standard output or a pipe, from which nothing can be taken back.

    Each run writes a document of its own, with the items that no earlier run has written.
    """

    def __init__(self, storage: Any, spider: Spider) -> None:
        super().__init__(storage, spider)
        self.keeps_deliveries = True

    def resume(self, record: FeedRecord) -> FeedRecord:
        """Start after the last item that was written."""
        return rewound(replace(record, start=record.through))

    def write(self, chunk: bytes) -> None:
        """Write and flush. Raises ``OSError``."""
        self._file.write(chunk)
        self._file.flush()

    def close(self) -> None:
        """Leave the stream open: it belongs to the process."""
        self._file = None
