"""The board: the rows that the engine holds, in memory that outlives the process.

A file of fixed size is mapped into memory; marking a row is one store of eight bytes and no
system call. When the process dies, in whatever way, the kernel keeps the pages. (Power loss
may lose them, and does not count as a crash.)
"""

from __future__ import annotations

import contextlib
import mmap
import os
from errno import ENOSPC
from pathlib import Path
from struct import Struct, error
from typing import Final

from scrapy_resume.model import Phase
from scrapy_resume.privatefiles import create_file, read_existing
from scrapy_resume.store.contract import MARKED_AT_MOST
from scrapy_resume.store.sqlite.files import file_identity

_HEADER: Final = Struct("=8sqq")
_MAGIC: Final = b"srboard1"
_HEADER_WORDS: Final = 3
_BYTES: Final = 8 * (_HEADER_WORDS + 2 * MARKED_AT_MOST)


class Board:
    """The marks of one epoch's run.

    An entry is a row's id and its phase, two native 64-bit words; phase 0 is a free entry. The
    id is written while the phase is 0, and changes of the phase change one byte, so a death
    between two stores leaves no entry that was not meant.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        """Create the file anew; raises ``OSError``."""
        self.path = path
        # Written, not truncated to size: a store into a hole on a full disk kills the process.
        # A new file: a fenced owner continues to write to the old one.
        fresh = path.with_name(path.name + ".new")
        descriptor = create_file(fresh)
        try:
            content = _HEADER.pack(_MAGIC, epoch, MARKED_AT_MOST).ljust(_BYTES, b"\0")
            written = os.write(descriptor, content)
            if written != len(content):
                raise OSError(ENOSPC, os.strerror(ENOSPC), os.fspath(fresh))
            mapped = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        os.replace(fresh, path)
        self._file = file_identity(path)
        self._words = memoryview(mapped).cast("q")
        self._free = list(range(_HEADER_WORDS, len(self._words), 2))
        self._entries: dict[int, int] = {}

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row."""
        at = self._entries.get(row)
        if at is None:
            if not self._free:
                return
            at = self._entries[row] = self._free.pop()
            self._words[at] = row
        self._words[at + 1] = phase

    def unmark(self, row: int) -> None:
        """The engine does not hold the row any more."""
        at = self._entries.pop(row, None)
        if at is not None:
            self._words[at + 1] = 0
            self._free.append(at)

    def remove(self) -> None:
        """Remove the file, if it is still this one."""
        with contextlib.suppress(OSError):
            if file_identity(self.path) == self._file:
                self.path.unlink()

    def close(self) -> None:
        """Leave the file as it is; marks are dropped from here on.

        The map is not closed by hand: another thread may be within ``mark`` now.
        """
        self._words = memoryview(bytearray(_BYTES)).cast("q")


def read_board(path: Path, epoch: int) -> dict[int, Phase]:
    """The rows that were marked when the run of ``epoch`` ended.

    Empty if the file does not exist, belongs to another epoch, or is not whole: a crash is
    counted only for rows that are known to have been in flight.
    """
    try:
        content = read_existing(path)
    except FileNotFoundError:
        return {}
    try:
        magic, written_by, capacity = _HEADER.unpack_from(content)
    except error:
        return {}
    if (magic, written_by, capacity, len(content)) != (_MAGIC, epoch, MARKED_AT_MOST, _BYTES):
        return {}
    words = memoryview(content).cast("q")
    phases = {phase.value: phase for phase in Phase}
    return {
        words[at]: phases[words[at + 1]]
        for at in range(_HEADER_WORDS, len(words), 2)
        if words[at + 1] in phases
    }
