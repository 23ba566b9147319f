"""The file object that Scrapy's exporters write to: memory, until the feed takes the bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from scrapy import Spider


class ExportBuffer(io.BufferedIOBase):
    """Collects what an exporter, or the post-processing behind it, writes."""

    def __init__(self, name: str) -> None:
        self.name = name
        """The name of the feed's file: gzip writes it into its header."""
        self._buffer = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        """Always true; the buffer cannot be read as a file."""
        return True

    def write(self, chunk: ReadableBuffer) -> int:
        """Add bytes. Returns how many."""
        before = len(self._buffer)
        self._buffer += chunk
        return len(self._buffer) - before

    def tell(self) -> int:
        """The offset in the feed's file: exporters write a header if it is 0."""
        return self._taken + len(self._buffer)

    def begin_at(self, offset: int) -> None:
        """Drop everything; the next byte that is written has that offset in the feed's file."""
        self._buffer.clear()
        self._taken = offset

    def mark(self) -> int:
        """The present position, for ``undo``."""
        return len(self._buffer)

    def undo(self, mark: int) -> None:
        """Drop what was written since the mark."""
        del self._buffer[mark:]

    def take(self) -> bytes:
        """Everything that was written since the last call."""
        taken = bytes(self._buffer)
        self.begin_at(self.tell())
        return taken


class BufferStorage:
    """A feed storage that gives the buffer to Scrapy's ``FeedSlot`` in place of a file."""

    def __init__(self, buffer: ExportBuffer) -> None:
        self._buffer = buffer

    def open(self, spider: Spider) -> Any:
        """Called by ``FeedSlot.start_exporting``."""
        return self._buffer

    def store(self, file: Any) -> None:
        """Does nothing: the feed takes the bytes and writes them to its destination."""
