"""Feeds of earlier runs that are not in FEEDS any more, when their job is completed.

Nobody goes on with them, so the notes beside their files go. Before that a file is cut back to what
the store knows to be in it: a run that was killed may have left half an item at its end.
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
from scrapy_resume.feeds.truncation import cut_back

if TYPE_CHECKING:
    from scrapy_resume.store.contract import FeedNote

logger = logging.getLogger("scrapy_resume")


class LeftFile(NamedTuple):
    """A file beside which lies a note of the job."""

    feed: str
    record: FeedRecord
    """That needs no note."""
    note_file: NoteFile


def settled_files(
    notes: Iterable[FeedNote], owner: str, written: Iterable[Path]
) -> Iterator[LeftFile]:
    """Cut back the files of feeds that this run does not write; those whose notes can go.

    ``notes``: what the store has of them. ``written``: the files that this run
    writes. A file that cannot be settled keeps its note.
    """
    written = set(written)
    for note in notes:
        record = decode_record(note.record)
        path = _local_path(record)
        if path is None or path in written:
            continue
        note_file = NoteFile(path, owner)
        try:
            found = note_file.read()
            if found is None or found.note.owner != owner:
                continue
            yield LeftFile(note.feed, _settled(path, note_file, found, record), note_file)
        except (OSError, FeedFileChangedError) as error:
            logger.warning("The note beside %s, a feed of an earlier run, stays: %s", path, error)


def _settled(path: Path, note_file: NoteFile, found: FoundNote, record: FeedRecord) -> FeedRecord:
    if path.exists() and not _knows_all(found, record):
        committed = cut_back(path, note_file, record, overwrites=False)
        record = replace(record, claim=committed, ending=None, ended="")
    return replace(record, noted=False)


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
