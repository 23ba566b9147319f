"""Verifies claims against the bytes of a local file: which bytes are this job's, which others'."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from scrapy_resume.feeds.byte_ranges import Range, first_of, joined, minus, overlap, within
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.ownership_note import PAGE, OwnershipNote

CHUNK: Final = 1 << 20
"""Bytes that are read at a time."""

DIGEST_BYTES: Final = 16
"""Length of ``Claim.digest``, before it is written in hex."""

HEAD_BYTES: Final = 64
"""Length of ``Claim.head``."""

PIECE_BYTES: Final = 1_024
"""Length of ``OwnershipNote.piece``: so many bytes identify the piece when they are found."""

MOST_PLACES: Final = 1_000
"""The search for a piece ends after so many occurrences of its first bytes."""


def new_hash() -> hashlib.blake2b:
    """The hash of a claim without bytes, to be updated."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


class Contents:
    """The bytes of a file, given by its descriptor; ``None``: the file does not exist."""

    def __init__(self, file: int | None) -> None:
        self._file = file

    @property
    def size(self) -> int:
        """The length of the whole file."""
        return 0 if self._file is None else os.fstat(self._file).st_size

    def hash_of(self, ranges: Iterable[Range]) -> hashlib.blake2b:
        """The hash of the ranges, up to the end of the file."""
        result = new_hash()
        for start, end in ranges:
            for chunk in self._chunks(start, end):
                result.update(chunk)
        return result

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        assert self._file is not None
        while start < end and (chunk := os.pread(self._file, min(CHUNK, end - start), start)):
            yield chunk
            start += len(chunk)

    def _text(self, start: int, count: int) -> bytes:
        return b"".join(self._chunks(start, start + count))

    def holds(self, claim: Claim) -> bool:
        """Whether the file has the claimed bytes where they are claimed. An empty claim is true."""
        if not claim.ranges:
            return True
        return claim.end <= self.size and self.hash_of(claim.ranges).hexdigest() == claim.digest

    def claim_on(self, ranges: Sequence[Range]) -> Claim:
        """A claim on the bytes that the file has now in the ranges."""
        there = joined(within(ranges, self.size))
        if not there:
            return Claim()
        head = b"".join(
            chunk
            for start, end in first_of(there, HEAD_BYTES)
            for chunk in self._chunks(start, end)
        )
        return Claim(ranges=tuple(there), digest=self.hash_of(there).hexdigest(), head=head.hex())

    def is_cut(self, claim: Claim) -> bool:
        """Whether the file was truncated within the claim: it is too short, and what is left of the
        claim begins as it should."""
        if not claim.ranges or claim.end <= self.size:
            return False
        head = bytes.fromhex(claim.head)
        (start, end), *_ = claim.ranges
        return head.startswith(self._text(start, min(end - start, len(head))))

    def is_blank_within(self, ranges: Iterable[Range]) -> bool:
        """Whether there are NUL bytes in the ranges: a power cut leaves them in place of what was
        not synced. (Formats of text have none; those of bytes may.)"""
        return any(b"\0" in chunk for start, end in ranges for chunk in self._chunks(start, end))

    def first_bytes(self, claim: Claim, of: Claim) -> Claim:
        """Find the bytes of a claim: as the first bytes of ``of``, a larger claim that is true, or
        at the claim's own ranges. An empty claim: they are in neither place."""
        first = replace(claim, ranges=tuple(first_of(of.ranges, claim.size)))
        known = [first] if list(first.ranges) == list(claim.ranges) else [first, claim]
        return next((one for one in known if one.size == claim.size and self.holds(one)), Claim())

    def held(self, note: OwnershipNote) -> Claim | None:
        """The larger of a note's two claims that is true: bytes that were about to be removed are
        the job's as long as they are there. ``None``: neither claim is true."""
        claims = [claim for claim in (note.claim, note.before) if claim is not None]
        for claim in sorted(claims, key=lambda claim: -claim.size):
            if self.holds(claim):
                return claim
        return None

    def proven(self, note: OwnershipNote, taken: Sequence[Range] = ()) -> Claim | None:
        """The claim that the note proves, without the ranges in ``taken``, which other jobs have
        proven to be theirs. ``None``: bytes of the file may be this job's or somebody else's."""
        claim, before = self.held(note), note.before
        if before is not None and note.piece and self.holds(before):
            added = minus(note.ranges, before.ranges)
            if claim != before and not overlap(added, taken):
                return claim
            return self._with_piece(before, note, taken)
        if claim is not None:
            return claim
        for one in (note.claim, before):
            if one is not None and self.is_cut(one):
                return self.claim_on(minus(one.ranges, taken))
        return None

    # ---- a piece that was about to be appended

    def _with_piece(
        self, before: Claim, note: OwnershipNote, taken: Sequence[Range]
    ) -> Claim | None:
        """Look for the piece that was about to be appended: it may be there, in part, at another
        offset, or not at all."""
        announced, *_ = minus(note.ranges, before.ranges)
        head, length, size = bytes.fromhex(note.piece), note.size - before.size, self.size
        hash_before = self.hash_of(before.ranges)
        doubtful = False
        for start in self._places(head, before.end, announced[0]):
            end = min(start + length, size)
            ranges = joined([*before.ranges, (start, end)])
            if overlap([(start, end)], taken):
                continue
            if end - start == length and self._completes(hash_before, (start, end), note.digest):
                return Claim(tuple(ranges), note.digest, note.head)
            if end - start < length and head.startswith(self._text(start, len(head))):
                return self.claim_on(ranges)
            doubtful = True
        return None if doubtful else before

    def _completes(self, hash_before: hashlib.blake2b, piece: Range, digest: str) -> bool:
        whole = hash_before.copy()
        for chunk in self._chunks(*piece):
            whole.update(chunk)
        return whole.hexdigest() == digest

    def _places(self, head: bytes, behind: int, announced: int) -> Iterator[int]:
        """Offsets at which the piece may begin. Less than its head is accepted only at the offset
        that was announced."""
        # A death of the process in the middle of a write leaves whole pages.
        page = min(len(head), PAGE - announced % PAGE)
        found, offset, text = 0, behind, b""
        for chunk in self._chunks(behind, self.size):
            text += chunk
            place = text.find(head)
            while place >= 0 and found < MOST_PLACES:
                found += 1
                yield offset + place
                place = text.find(head, place + 1)
            rest = text[max(0, len(text) - len(head) + 1) :]
            offset += len(text) - len(rest)
            text = rest
        there = self._text(announced, len(head)) if announced >= behind else b""
        begins = there[:page] == head[:page] or head.startswith(there)
        if there and there != head and begins:
            yield announced
