"""A local file in which a job has bytes of its own, among others'."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.footprint import Footprint
from scrapy_resume.feeds.record import Claim, Range

CHUNK: Final = 1 << 20
DIGEST_BYTES: Final = 16
HEAD_BYTES: Final = 64


class OwnFile:
    """Appends to a file that others may append to as well, and knows which bytes are its own."""

    def __init__(self, path: Path, footprint: Footprint) -> None:
        self.path = path
        self._footprint = footprint
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._hash = _new_hash()
        self._ranges: list[Range] = []
        self._head = b""
        self._waiting = b""

    @property
    def claim(self) -> Claim:
        """The own bytes that are written."""
        return Claim(tuple(self._ranges), self._hash.hexdigest(), self._head.hex())

    @property
    def size(self) -> int:
        """Of the whole file."""
        return os.fstat(self._file).st_size

    def adopt(self, claim: Claim) -> bool:
        """Go on with these bytes as the own ones; false if they are not in the file."""
        self._hash = _new_hash()
        self._ranges = list(claim.ranges)
        self._head = bytes.fromhex(claim.head)
        for start, end in claim.ranges:
            while start < end and (chunk := os.pread(self._file, min(CHUNK, end - start), start)):
                self._hash.update(chunk)
                start += len(chunk)
        return claim.end <= self.size and self._hash.hexdigest() == claim.digest

    def claim_on(self, ranges: Sequence[Range]) -> Claim:
        """The claim on bytes that are in the file."""
        head = os.pread(self._file, HEAD_BYTES, ranges[0][0]) if ranges else b""
        self.adopt(Claim(ranges, head=head[: ranges[0][1] - ranges[0][0]].hex() if ranges else ""))
        return self.claim

    def is_cut(self, claim: Claim) -> bool:
        """The file ends before these bytes do, and begins with them as far as it goes."""
        size = self.size
        if not claim.ranges or claim.end <= size:
            return False
        head = bytes.fromhex(claim.head)
        (start, end), *_ = claim.ranges
        found = os.pread(self._file, min(len(head), end - start), start)
        return head.startswith(found)

    def append(self, chunk: bytes) -> None:
        """Write the bytes at the end of the file.

        Raises ``FeedFileChangedError`` if the file is not there any more or has become shorter,
        and ``OSError``; then ``append(b"")`` goes on with what was not written.
        """
        self._waiting += chunk
        if not self._waiting:
            return
        self._check()
        self._announce()
        while self._waiting:
            written = os.write(self._file, self._waiting)
            # With O_APPEND that is where these bytes ended, whoever else has appended.
            end = os.lseek(self._file, 0, os.SEEK_CUR)
            self._hash.update(self._waiting[:written])
            self._head += self._waiting[: max(0, min(written, HEAD_BYTES - len(self._head)))]
            self._waiting = self._waiting[written:]
            self._ranges = _joined(self._ranges, (end - written, end))

    def _check(self) -> None:
        found = os.fstat(self._file)
        try:
            named = os.stat(self.path)
        except FileNotFoundError as error:
            raise FeedFileChangedError(f"{self.path} was deleted or moved") from error
        if (named.st_dev, named.st_ino) != (found.st_dev, found.st_ino):
            raise FeedFileChangedError(f"{self.path} was replaced by another file")
        if self._ranges and found.st_size < self._ranges[-1][1]:
            raise FeedFileChangedError(f"{self.path} was cut")

    def _announce(self) -> None:
        """Note what is going to be the job's, before it is."""
        start = self.size
        after = self._hash.copy()
        after.update(self._waiting)
        ranges = _joined(self._ranges, (start, start + len(self._waiting)))
        head = (self._head + self._waiting[:HEAD_BYTES])[:HEAD_BYTES]
        self._footprint.write(Claim(ranges, after.hexdigest(), head.hex()))

    def begin(self) -> None:
        """Nothing in the file is the job's from here on."""
        self._hash = _new_hash()
        self._ranges = []
        self._head = self._waiting = b""
        self._footprint.write(Claim())

    def truncate(self) -> None:
        """Drop everything, others' bytes as well."""
        os.ftruncate(self._file, 0)

    def sync(self) -> None:
        """Have it on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._footprint.close()


def _joined(ranges: Sequence[Range], piece: Range) -> list[Range]:
    """The ranges and one more, which becomes part of the last one if it follows at once."""
    if ranges and ranges[-1][1] == piece[0]:
        return [*ranges[:-1], (ranges[-1][0], piece[1])]
    return [*ranges, piece]


def minus(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """The bytes in ``ranges`` that are in none of the ``others``; both in order."""
    rest = [(start, end) for start, end in ranges if start < end]
    for low, high in others:
        rest = [
            part
            for start, end in rest
            for part in ((start, min(end, low)), (max(start, high), end))
            if part[0] < part[1]
        ]
    return rest


def claim_of(file: IO[bytes], start: int) -> Claim:
    """All of a file, once it stands at that offset of another one."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    digest = _new_hash()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return Claim([(start, start + file.tell())], digest.hexdigest(), head.hex())


def _new_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def drop_ranges(path: Path, drop: Sequence[Range]) -> None:
    """Take bytes out of a file: at its end in place, before others' bytes by a new file."""
    size = path.stat().st_size
    drop = minus([(0, size)], minus([(0, size)], drop))
    if not drop:
        return
    if minus([(drop[0][0], size)], drop):
        rewrite(path, drop)
    else:
        os.truncate(path, drop[0][0])


def rewrite(path: Path, drop: Sequence[Range], insert: IO[bytes] | None = None) -> None:
    """Put a file in the place of another: without some bytes, and with new ones where the first
    of them were (at the end, if none are dropped).

    Whoever has the old file open goes on writing to a file without a name.
    """
    copy = path.with_name(f".{path.name}.copy")
    size = path.stat().st_size if path.exists() else 0
    offset = drop[0][0] if drop else size
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


def _copy_ranges(path: Path, ranges: Sequence[Range], target: IO[bytes]) -> None:
    if not ranges:
        return
    with path.open("rb") as source:
        for start, end in ranges:
            source.seek(start)
            while start < end and (chunk := source.read(min(CHUNK, end - start))):
                target.write(chunk)
                start += len(chunk)
