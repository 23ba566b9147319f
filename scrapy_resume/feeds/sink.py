"""The file that exporters write to: memory, until the bytes are taken."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from scrapy import Spider


class Sink(io.BufferedIOBase):
    """Collects what an exporter, or the post-processing behind it, writes."""

    def __init__(self, name: str) -> None:
        self.name = name
        """That of the file: gzip writes it into its header."""
        self._buffer = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        """It is for writing only."""
        return True

    def write(self, chunk: ReadableBuffer) -> int:
        """Keep the bytes."""
        before = len(self._buffer)
        self._buffer += chunk
        return len(self._buffer) - before

    def tell(self) -> int:
        """The offset in the feed's file: exporters write a header if it is 0."""
        return self._taken + len(self._buffer)

    def begin_at(self, offset: int) -> None:
        """Forget everything: what comes next comes at that offset."""
        self._buffer.clear()
        self._taken = offset

    def mark(self) -> int:
        """Where the next write begins, for ``undo``."""
        return len(self._buffer)

    def undo(self, mark: int) -> None:
        """Forget what was written since."""
        del self._buffer[mark:]

    def take(self) -> bytes:
        """Everything since the last time."""
        taken = bytes(self._buffer)
        self.begin_at(self.tell())
        return taken


class SinkStorage:
    """Has Scrapy's ``FeedSlot`` open a sink in place of its storage's file."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def open(self, spider: Spider) -> Any:
        """What ``FeedSlot.start_exporting`` calls."""
        return self._sink

    def store(self, file: Any) -> None:
        """Nothing: the sink's bytes go to the target."""
