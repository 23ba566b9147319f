"""Sets aside what a job has written to a feed that its store has no record of any more.

The store's directory was deleted, in mid-crawl or between two runs: nothing can go on with the job,
and a new one crawls its pages again. Appended behind the dead job's items, its own would double
the feed. The dead job's bytes are known by the note beside the feed; they are moved to a file of
their own, since nobody has them anywhere else.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.ownership_note import NoteFile
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor, copy_ranges
from scrapy_resume.privatefiles import create_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scrapy_resume.feeds.byte_ranges import Range
    from scrapy_resume.feeds.ownership_note import OwnershipNote

logger = logging.getLogger("scrapy_resume")


def set_aside_deleted_jobs(
    path: Path,
    note_file: NoteFile,
    lives: Callable[[str], bool],
    free_name: Callable[[Path, str], Path],
) -> None:
    """Move the items of jobs that are gone out of a feed.

    ``note_file``: that of the job that is about to begin the feed. ``lives``: whether the store has
    the job of that owner text. Jobs of other names and of other stores are left alone.
    """
    if not path.is_file():
        return
    for beside, found in list(note_file.others()):
        note = found.note
        same_place = bool(note.place) and note.place == note_file.place
        if same_place and not note.completed and not lives(note.owner):
            _set_aside(path, beside, note, free_name)


def _set_aside(
    path: Path, beside: Path, note: OwnershipNote, free_name: Callable[[Path, str], Path]
) -> None:
    dead = NoteFile(path, note.owner, note.place)
    if dead.path != beside:
        return
    with SharedFileEditor(path, dead) as feed:
        own = feed.proven(note)
        if own is None:
            logger.warning(
                "Feed %s holds items of %s, which was deleted from the store, and they cannot be "
                "told from others: items of this job may be there twice.",
                path,
                note.owner,
            )
            return
        if own.ranges:
            aside = free_name(path, "deleted")
            _copy(path, aside, own.ranges)
            feed.drop(own.ranges, own, Claim())
            logger.warning(
                "Feed %s held items of %s, which was deleted from the store before it was "
                "completed. They are in %s now: this job gives them again.",
                path,
                note.owner,
                aside,
            )
    dead.close()
    beside.unlink(missing_ok=True)


def _copy(path: Path, aside: Path, ranges: Sequence[Range]) -> None:
    with os.fdopen(create_file(aside, os.O_WRONLY, 0o600), "wb") as target:
        copy_ranges(path, ranges, target)
        target.flush()
        os.fsync(target.fileno())
