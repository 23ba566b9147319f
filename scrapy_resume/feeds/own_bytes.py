"""Finds all bytes in a local file that are the job's, committed or not.

As long as the machine runs, the ownership note names them. After a power cut the store, the note
and the feed may each be as they were at another moment, and parts of the feed may be missing or
blank. The store decides then: what it knows to be committed stays if its digest is right, and all
other bytes that may be the job's are taken for such.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from scrapy_resume.feeds.byte_ranges import minus, overlap
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.ownership_note import FoundNote, OwnershipNote
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor

logger = logging.getLogger("scrapy_resume")


class Kind(NamedTuple):
    """How a file is written."""

    placed: bool = False
    """All the job's bytes come into the file at once, by a rename."""
    overwrites: bool = False
    """What was in the file before the job began was to go."""


class OwnBytes(NamedTuple):
    """What a job has in a file."""

    all: Claim
    committed: Claim
    """The bytes that the record claims; empty if they are not there any more."""
    doubtful: int = 0
    """The number of bytes that may be somebody else's."""


def own_bytes(
    file: SharedFileEditor, found: FoundNote | None, record: FeedRecord, kind: Kind
) -> OwnBytes:
    """Find the job's bytes.

    Raises ``FeedFileChangedError`` if the job's bytes cannot be told from others', or if somebody
    has changed them.
    """
    if found is None:
        return _without_note(file, record, kind)
    note, known = found.note, record.claim
    if found.is_current and (kind.placed or note.reduced or note.size >= known.size):
        own = file.proven(note)
        lost = own is not None and own.size < known.size and not note.reduced
        if own is not None and (kind.placed or not lost or file.contents.is_cut(known)):
            return OwnBytes(own, file.contents.first_bytes(known, own))
        if kind.placed or not _shows_power_cut(file, note):
            raise file.changed()
    return _after_power_cut(file, note, record, kind)


def warn_of_doubt(path: Path, own: OwnBytes) -> None:
    """Say that bytes are removed from a feed which may be somebody else's, if there are any."""
    if own.doubtful:
        logger.warning(
            "Feed %s: %d bytes behind what is committed are removed. They were written before a "
            "power cut, a restart or a copy of the files, so nothing tells this job's bytes from "
            "another program's; this job writes its own again.",
            path,
            own.doubtful,
        )


def _without_note(file: SharedFileEditor, record: FeedRecord, kind: Kind) -> OwnBytes:
    """A job without a note has written nothing, or was completed."""
    claim = record.claim
    if record.noted:
        # The note was removed when the job was completed, and this store is older than that.
        return _after_power_cut(file, OwnershipNote(), record, kind)
    if record.ending is None:
        ended = claim
    else:
        ended = Claim([*claim.ranges, record.ending], record.ended, claim.head)
    if file.contents.holds(ended):
        return OwnBytes(ended, claim)
    if not _shows_power_cut(file, ended):
        raise file.changed()
    own = file.contents.claim_on(file.unclaimed(ended.ranges))
    return OwnBytes(own, file.contents.first_bytes(claim, own))


def _after_power_cut(
    file: SharedFileEditor, note: OwnershipNote, record: FeedRecord, kind: Kind
) -> OwnBytes:
    known, held = record.claim, file.contents.held(note) or Claim()
    if kind.placed and (held.ranges or (known.ranges and file.contents.holds(known))):
        own = held if held.ranges else known
    else:
        own = file.own_after_power_cut(note, record.base, known)
    committed = file.contents.first_bytes(known, own)
    if minus(committed.ranges, own.ranges):
        committed = Claim()
    if known.ranges and not committed.ranges and not (kind.placed or kind.overwrites):
        lost = own.size < known.size or overlap(known.ranges, file.others)
        if not (lost or file.contents.is_cut(known) or _shows_power_cut(file, own)):
            raise file.changed()
    doubtful = sum(end - start for start, end in minus(own.ranges, [*held.ranges, *known.ranges]))
    return OwnBytes(own, committed, doubtful)


def _shows_power_cut(file: SharedFileEditor, claim: Claim) -> bool:
    """Whether the file differs from a claim as it does after a power cut: it is too short, or
    bytes are blank."""
    contents = file.contents
    return contents.is_cut(claim) or contents.is_blank_within(claim.ranges)
