"""Feeds of earlier runs that are not in FEEDS any more, when their job is completed.

Nobody goes on with them, so the notes beside their files go; the files stay as they are. If such a
feed comes back later, in a job that was reopened, the store decides what in its file is the job's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from w3lib.url import file_uri_to_path

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord, decode_record
from scrapy_resume.feeds.ownership_note import FoundNote, NoteFile

if TYPE_CHECKING:
    from scrapy_resume.store.contract import FeedNote

logger = logging.getLogger("scrapy_resume")


class LeftFile(NamedTuple):
    """A file beside which lies a note of the job, which can go."""

    feed: str
    record: FeedRecord
    """That needs no note, if the store knows all that the job has written to the file."""
    note_file: NoteFile


def left_files(
    notes: Iterable[FeedNote], owner: str, place: str, written: Iterable[Path]
) -> Iterator[LeftFile]:
    """The files whose notes can go.

    ``notes``: what the store has of feeds that this run does not write. ``place``: where the job is
    recorded; notes of a job in a copy of the store are the other's. ``written``: the files that
    this run writes.
    """
    written = set(written)
    for note in notes:
        record = decode_record(note.record)
        path = _local_path(record)
        if path is None or path in written:
            continue
        note_file = NoteFile(path, owner, place)
        try:
            found = note_file.read()
        except (OSError, FeedFileChangedError) as error:
            logger.warning("The note beside %s, a feed of an earlier run, stays: %s", path, error)
            continue
        if found is None or (found.note.owner, found.note.place) != (owner, place):
            continue
        if _knows_all(found, record) or not path.exists():
            record = replace(record, noted=False)
        yield LeftFile(note.feed, record, note_file)


def _knows_all(found: FoundNote, record: FeedRecord) -> bool:
    """Whether the job has written nothing to the file but what the store knows."""
    known = record.claim
    if record.ending is not None:
        known = Claim([*known.ranges, record.ending], record.ended, known.head)
    return found.is_current and found.note.size == known.size and found.note.digest == known.digest


def _local_path(record: FeedRecord) -> Path | None:
    uri = record.path or record.uri
    if uri.startswith("file:"):
        uri = file_uri_to_path(uri)
    return None if "://" in uri or ":" in uri.partition("/")[0] else Path(os.path.realpath(uri))
