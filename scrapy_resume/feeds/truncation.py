"""A local feed is cut back on resume: bytes that the store does not know as committed are removed.

Only the job's own bytes are removed; see ``own_bytes``.
"""

from __future__ import annotations

from pathlib import Path

from scrapy_resume.feeds.byte_ranges import minus
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.own_bytes import Kind, own_bytes, warn_of_doubt
from scrapy_resume.feeds.ownership_note import NoteFile
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor


def cut_back(
    path: Path, note_file: NoteFile, record: FeedRecord, *, overwrites: bool = False
) -> Claim:
    """Remove what the job has written to the file after its last commit, the end of the format
    included. Returns the claim on the committed bytes, as far as the file still has them.

    ``overwrites``: what was in the file before the job began was to go.

    Raises ``FeedFileChangedError`` if the job's bytes cannot be told from others'; the file is
    unchanged then.
    """
    with SharedFileEditor(path, note_file) as file:
        own = own_bytes(file, note_file.read(), record, Kind(overwrites=overwrites))
        if own.all.ranges or note_file.path.exists():
            file.drop(minus(own.all.ranges, own.committed.ranges), own.all, own.committed)
    warn_of_doubt(path, own)
    return own.committed
