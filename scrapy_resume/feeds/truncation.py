"""A local feed is cut back on resume: bytes that the store does not know as committed are removed.

Only the job's own bytes are removed. What tells them from other writers' bytes is the ownership
note beside the feed or, if there is none, the record in the store.
"""

from __future__ import annotations

from pathlib import Path

from scrapy_resume.feeds.byte_ranges import minus
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.ownership_note import NoteFile
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor


def cut_back(path: Path, note_file: NoteFile, record: FeedRecord) -> Claim:
    """Remove what the job has written to the file after its last commit, the end of the format
    included. Returns the claim on the committed bytes, as far as the file still has them.

    Raises ``FeedFileChangedError`` if the job's bytes cannot be told from others'; the file is
    unchanged then.
    """
    with SharedFileEditor(path, note_file) as file:
        own = _own_bytes(file, note_file, record)
        committed = file.contents.first_bytes(record.claim, own)
        if own.ranges or note_file.path.exists():
            file.drop(minus(own.ranges, committed.ranges), own, committed)
    return committed


def _own_bytes(file: SharedFileEditor, note_file: NoteFile, record: FeedRecord) -> Claim:
    """All the job's bytes, committed or not. Raises ``FeedFileChangedError``."""
    note = note_file.read()
    if note is None:
        return _own_bytes_without_note(file, record)
    own, known = file.proven(note), record.claim
    if own is None or (own.size < known.size <= note.size and not file.contents.is_cut(known)):
        raise file.changed()
    return own


def _own_bytes_without_note(file: SharedFileEditor, record: FeedRecord) -> Claim:
    claim = record.claim
    if not file.contents.holds(claim):
        return file.remainder_of(claim)
    if record.noted and (claim.ranges or record.base is not None):
        # The note was removed when the job was completed, and this store is an older copy.
        behind = file.unclaimed_after(claim.end if claim.ranges else record.base or 0)
        return file.contents.claim_on([*claim.ranges, *behind])
    if record.ending is None:
        return claim
    ended = Claim([*claim.ranges, record.ending], record.ended, claim.head)
    return ended if file.contents.holds(ended) else file.remainder_of(ended)
