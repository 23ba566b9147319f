"""A small file beside a local feed that tells the job's bytes in it from others'.

The store knows what of a feed is committed. It does not know what was written since: bytes
after the committed ones may be the job's own (they are written again) or somebody else's, such
as another crawl's that appends to the same file (they are not ours to drop). So the ranges of
the job's bytes are noted beside the feed before they are written. The note survives the process
and, as it stands beside the feed, tells the truth too if an older copy of the store is put back.
It goes when the job is completed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from scrapy_resume.feeds.record import Claim

T = TypeVar("T")

LONGEST_NAME: Final = 180
"""Bytes of the feed's name in the note's, which must not be over 255 altogether."""


@dataclass(frozen=True)
class _Replacing(Claim):
    """What the note holds."""

    before: Claim | None = None


class Footprint:
    """The note beside one feed's file. Without a place to write to, there is none."""

    def __init__(self, feed: Path, owner: str) -> None:
        mark = hashlib.blake2b(owner.encode(), digest_size=4).hexdigest()
        stem = os.fsencode(feed.name)[:LONGEST_NAME].decode(errors="ignore")
        self.path = feed.with_name(f".{stem}.{mark}.resume")
        self._file: int | None = None
        self._length = 0

    def read(self) -> Claim | None:
        """The bytes that are the job's, of which the last may not have been written. ``None``:
        there is no note, or none that can be read."""
        return self._read(Claim)

    def read_before(self) -> Claim | None:
        """The bytes that were the job's before, if a file was about to take another's place."""
        replacing = self._read(_Replacing)
        return None if replacing is None else replacing.before

    def _read(self, kind: type[T]) -> T | None:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self.path.read_bytes(), type=kind)
        return None

    def write(self, claim: Claim, before: Claim | None = None) -> None:
        """Note what is about to be written; ``before``: and what stands there until then, if it
        is replaced as a whole. Raises ``OSError``."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            self._length = os.fstat(self._file).st_size
        text = msgspec.json.encode(_Replacing(claim.ranges, claim.digest, claim.head, before))
        # One write, padded to what was there: a death leaves the old note or the new one.
        os.pwrite(self._file, text.ljust(self._length), 0)
        self._length = max(self._length, len(text))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """The job is completed, or the file is another one's from now on."""
        self.close()
        with suppress(OSError):
            self.path.unlink()
