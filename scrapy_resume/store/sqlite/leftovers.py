"""What processes that died have left beside the jobs' files.

Whoever creates or deletes a job holds the door lock of its name from the first file to the last.
So under that lock a file that belongs to a creation or a deletion is a dead process's. What lies
beside a job whose file is gone belongs to a live process only if that holds an owner lock of it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from scrapy_resume.disk import sync_directory
from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract.leftovers import Forget, Leftover
from scrapy_resume.store.sqlite.errors import COPY
from scrapy_resume.store.sqlite.files import (
    CREATING,
    DELETING,
    SUFFIX,
    beside,
    door_of,
    key_of_file,
    lock_files,
    remove_locks,
)
from scrapy_resume.store.sqlite.locks import door_lock, is_held

log = logging.getLogger("scrapy_resume")

_OF_CREATION: Final = (CREATING, *(f"{CREATING}{end}" for end in ("-journal", "-wal", "-shm")))
_OF_OPENING: Final = (".inflight.new",)
_OF_JOB: Final = ("-wal", "-shm", "-journal", ".inflight")
_WITH_COMMITS: Final = ("-wal", "-journal")
"""May be all that is left of a job's last commits."""

_UNFINISHED_COPY: Final = re.compile(
    rf"{re.escape(COPY)}-\d+{re.escape(CREATING)}(?:-journal|-wal|-shm)?"
)
"""Of the copy that a run was writing."""

_BESIDE: Final = re.compile(rf"(.+#\d+{re.escape(SUFFIX)})(.+)")
_LOCK: Final = re.compile(r"\.epoch-\d+\.lock")


def delete_job(path: Path, key: JobKey, forget: Forget) -> None:
    """Delete a job's files, under the door lock.

    The database loses its name first: a death or a power cut never leaves it without its WAL. The
    file under its last name goes last: as long as it is there, ``remove_leftovers`` goes on.
    """
    path.rename(beside(path, DELETING))
    sync_directory(path.parent)
    _finish_deletion(path, key, forget)


def _finish_deletion(path: Path, key: JobKey, forget: Forget) -> None:
    if not os.path.lexists(path):
        for suffix in (*_OF_JOB, *_OF_OPENING, *_OF_CREATION):
            beside(path, suffix).unlink(missing_ok=True)
        for suffix in (COPY, *_unfinished_copies(path)):
            beside(path, suffix).unlink(missing_ok=True)
        remove_locks(path)
        forget(key)
    beside(path, DELETING).unlink(missing_ok=True)
    sync_directory(path.parent)


def cleared(path: Path) -> Path:
    """The name under which a job's file is created; frees it and the names beside it.

    Above all that of a WAL: SQLite would take it for that of the new file. What may hold commits
    is kept under another name.
    """
    for suffix in (*_OF_CREATION, *_OF_OPENING):
        beside(path, suffix).unlink(missing_ok=True)
    for suffix in (*_OF_JOB, COPY):
        leftover = beside(path, suffix)
        if not os.path.lexists(leftover):
            continue
        if suffix in (*_WITH_COMMITS, COPY) and not _is_empty(leftover):
            kept = _free_name(leftover)
            leftover.rename(kept)
            log.warning("%s was left behind without its job's file; it is now %s", leftover, kept)
        else:
            leftover.unlink()
            log.warning("%s was left behind without its job's file; it is removed", leftover)
    return beside(path, CREATING)


def remove_leftovers(directory: Path, forget: Forget) -> list[Leftover]:
    """Complete deletions that were interrupted, and remove what dead processes have left.

    Nothing that may hold commits is removed, unless its job was being deleted. What cannot be
    removed now, because others work on jobs of that name or by a lack of permission, stays.
    """
    told: list[Leftover] = []
    for path in sorted(_found(directory)):
        with (
            suppress(OSError, StoreUnavailableError),
            door_lock(door_of(path), timeout_seconds=0),
        ):
            told += _settle(path, forget)
    return told


def _found(directory: Path) -> dict[Path, set[str]]:
    """Jobs' files, which need not exist, and the suffixes of what may be left beside them."""
    try:
        names = {entry.name for entry in os.scandir(directory)}
    except OSError:
        return {}
    found: dict[Path, set[str]] = {}
    for match in filter(None, map(_BESIDE.fullmatch, names)):
        name, suffix = match.groups()
        always = suffix == DELETING or suffix in _OF_CREATION or suffix in _OF_OPENING
        alone = name not in names and (suffix in _OF_JOB or _LOCK.fullmatch(suffix))
        unfinished = _UNFINISHED_COPY.fullmatch(suffix)
        if always or alone or unfinished:
            found.setdefault(directory / name, set()).add(suffix)
    return found


def _settle(path: Path, forget: Forget) -> Iterator[Leftover]:
    """Under the door lock, so nobody creates or deletes the job."""
    suffixes = _found(path.parent).get(path, set())
    if any(map(is_held, lock_files(path))):
        if not os.path.lexists(path):
            return  # a live process works on a job whose file somebody has removed
        suffixes = {suffix for suffix in suffixes if not _UNFINISHED_COPY.fullmatch(suffix)}
    if DELETING in suffixes:
        key = key_of_file(path, beside(path, DELETING))
        _finish_deletion(path, key, forget)
        if os.path.lexists(path):  # it has begun anew since
            yield Leftover(f"The file of an earlier {key} is removed: its deletion was interrupted")
        else:
            yield Leftover(f"The deletion of {key}, which was interrupted, is completed", key)
        suffixes = _found(path.parent).get(path, set())
    kept = [
        suffix
        for suffix in sorted(suffixes)
        if suffix in _WITH_COMMITS and not _is_empty(beside(path, suffix))
    ]
    removed = sorted(suffixes - set(kept))
    for suffix in removed:
        beside(path, suffix).unlink(missing_ok=True)
    if removed:
        names = ", ".join(path.name + suffix for suffix in removed)
        yield Leftover(f"Left by a process that died, and removed from {path.parent}: {names}")
    for suffix in kept:
        yield Leftover(
            f"{beside(path, suffix)} was left behind without its job's file, and may hold its last"
            " commits: put the file back beside it, or delete it"
        )


def _unfinished_copies(path: Path) -> list[str]:
    """The suffixes of what runs have left of a copy that they were writing."""
    names = [entry.name for entry in os.scandir(path.parent) if entry.name.startswith(path.name)]
    suffixes = [name.removeprefix(path.name) for name in names]
    return [suffix for suffix in suffixes if _UNFINISHED_COPY.fullmatch(suffix)]


def _is_empty(path: Path) -> bool:
    return path.lstat().st_size == 0


def _free_name(path: Path) -> Path:
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.kept-{number}")):
        number += 1
    return kept
