"""The copy that RESUME_BACKUP keeps beside a job's file, and how a damaged job is restored from it.

The copy is made under a name with the epoch of its run, synced, then renamed: at any moment there
is a whole copy or none. What a process that died has left of one is removed by the next that opens
a job in the directory.

A job that has a copy is checked when it is opened. If its file is damaged, cut off, older than the
copy (which shows that its WAL was lost) or gone, the copy takes its place. The file is never
deleted or overwritten: it gets a name of its own, with its WAL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from msgspec import Struct

from scrapy_resume.disk import sync_directory
from scrapy_resume.errors import JobLockedError, StoreDamagedError
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract.copies import OwnCopy, Restored
from scrapy_resume.store.sqlite.backup import (
    CopyStoppedError,
    copy_job,
    prepare,
    quick_check,
    verify_job,
)
from scrapy_resume.store.sqlite.errors import COPY, translated
from scrapy_resume.store.sqlite.files import (
    CREATING,
    DELETING,
    SQLITE_SUFFIXES,
    SUFFIX,
    beside,
    board_path,
    job_files,
    lock_files,
    quoted,
    remove_locks,
)
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.locks import is_held
from scrapy_resume.store.sqlite.opening import ownership, recover_job
from scrapy_resume.store.sqlite.reader import read_summary, reading
from scrapy_resume.wording import counted

GONE: Final = " is gone"


def keep_copy(path: Path, epoch: int, is_stopped: Callable[[], bool]) -> OwnCopy | None:
    """Copy the job in ``path`` to its place beside it, for the run of that epoch.

    ``None``: ``is_stopped`` was true, or the job is another run's by now. Raises ``StoreError``;
    the copy that was there before stays then.
    """
    began = time.monotonic()
    fresh = beside(path, f"{COPY}-{epoch}{CREATING}")
    with translated(path):
        _remove(fresh)
        try:
            copy_job(path, fresh, is_stopped)
        except CopyStoppedError:
            return None
        at = read_summary(fresh).updated_at
        with reading(path) as connection:
            is_own = ownership(connection, path).epoch == epoch
        if not is_own:
            fresh.unlink()
            return None
        fresh.rename(beside(path, COPY))
        sync_directory(path.parent)
        return OwnCopy(at, time.monotonic() - began, beside(path, COPY).stat().st_size)


def copied_at(path: Path) -> float | None:
    """The moment of the copy of the job in ``path``; ``None``: there is none that can be read."""
    with suppress(StoreDamagedError), translated(path):
        copy = beside(path, COPY)
        if copy.is_file():
            return read_summary(copy).updated_at
    return None


def restore_damaged(directory: Path, name: str) -> Restored | None:
    """Restore the latest job of a name from its copy, if it is damaged; under the door lock.

    ``None``: it is undamaged, or has no copy. Raises ``JobLockedError`` if a live process works on
    it, and ``StoreDamagedError`` if the copy is damaged too.
    """
    path = _latest(directory, name)
    if path is None or not beside(path, COPY).is_file():
        return None
    if not os.path.lexists(path) and os.path.lexists(beside(path, DELETING)):
        return None  # its deletion was interrupted
    key = JobKey(name, int(path.name.removesuffix(SUFFIX).rpartition("#")[2]))
    if any(map(is_held, lock_files(path))):
        if os.path.lexists(path):
            return None  # the opening refuses, or takes the job over
        raise JobLockedError(
            f"{path} is gone, while the process that crawls {key} still runs; run the same command "
            f"again when it has ended: it restores {key} from {beside(path, COPY)}"
        )
    damage = _damage(path)
    if damage is None:
        return None
    return _restore(path, key, damage)


def _latest(directory: Path, name: str) -> Path | None:
    """The file of the job of that name with the highest number, which need not exist if it has a
    copy."""
    ending = SUFFIX + COPY
    numbers = [job.key.number for job in job_files(directory, name)]
    for entry in os.scandir(directory):
        stem, _, number = entry.name.removesuffix(ending).rpartition("#")
        if entry.name.endswith(ending) and stem == quoted(name) and number.isdecimal():
            numbers.append(int(number))
    return directory / f"{quoted(name)}#{max(numbers)}{SUFFIX}" if numbers else None


class _State(Struct, frozen=True):
    """How far a file has come."""

    epoch: int
    commits: int
    died: bool


def _state(path: Path) -> _State:
    with reading(path) as connection:
        found = ownership(connection, path)
        (commits,) = connection.execute(FILES["commits"]).fetchone()
        return _State(found.epoch, commits, found.died)


def _damage(path: Path) -> str | None:
    """What is wrong with a job's file, beside which is a copy. ``None``: nothing."""
    if not os.path.lexists(path):
        return f"{path}{GONE}"
    try:
        with reading(path) as connection:
            found = quick_check(connection)
        if found != "ok":
            return f"{path} is damaged ({found})"
        now = _state(path)
        if _is_older_than_copy(path, now):
            return f"{path} is older than its copy: its -wal file was lost, or it was replaced"
        wal = beside(path, "-wal")
        if now.died and not wal.exists():
            # If the WAL was lost in the middle of a checkpoint, pages of two moments are mixed.
            wrong = verify_job(path).violations
            if wrong:
                return f"{path} is inconsistent, its -wal file was lost ({wrong[0]})"
    except StoreDamagedError as error:
        return str(error).partition(";")[0]
    return None


def _is_older_than_copy(path: Path, now: _State) -> bool:
    try:
        copied = _state(beside(path, COPY))
    except StoreDamagedError:
        return False  # the run that opens the job makes another copy
    return (now.epoch, now.commits) < (copied.epoch, copied.commits)


def _restore(path: Path, key: JobKey, damage: str) -> Restored:
    copy = beside(path, COPY)
    with translated(path):
        last = max((file.lstat().st_mtime for file in _files(path)), default=time.time())
        fresh = beside(path, CREATING)
        _remove(fresh)
        # Before the file is moved: a copy that is damaged too must not cost the file its place.
        try:
            copied = read_summary(copy)
            prepare(copy, fresh)
        except StoreDamagedError as error:
            raise StoreDamagedError(f"{damage}, and so is its copy: {error}") from error
        kept = _set_aside(path)
        fresh.rename(path)
        sync_directory(path.parent)
    recover_job(path, key, crash_limit=1)
    return Restored(key, _told(key, damage, copied.updated_at, last, kept))


def _remove(fresh: Path) -> None:
    """Remove what a dead process has left of a file that it was writing."""
    for suffix in ("", *SQLITE_SUFFIXES):
        beside(fresh, suffix).unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """What there is of a job's database."""
    names = [path, *(beside(path, suffix) for suffix in SQLITE_SUFFIXES if suffix != "-shm")]
    return [name for name in names if os.path.lexists(name)]


def _set_aside(path: Path) -> Path | None:
    """Give the files of a damaged job other names; where the main one, or else the first, is now.

    The main file goes first: after a death in between the next run finds that it is gone.
    """
    target = _free_name(path)
    moved = []
    for file in _files(path):
        aside = target.with_name(target.name + file.name.removeprefix(path.name))
        file.rename(aside)
        moved.append(aside)
    beside(path, "-shm").unlink(missing_ok=True)
    # Marks of the dead run: it was another state of the job in which they were in flight.
    board_path(path).unlink(missing_ok=True)
    remove_locks(path)
    sync_directory(path.parent)
    return moved[0] if moved else None


def _free_name(path: Path) -> Path:
    """``….damaged-N``, with a number above all that are there."""
    mark = f"{path.name}.damaged-"
    taken = [0]
    for entry in os.scandir(path.parent):
        number = entry.name.removeprefix(mark).partition("-")[0]
        if entry.name.startswith(mark) and number.isdecimal():
            taken.append(int(number))
    return path.with_name(f"{mark}{max(taken) + 1}")


def _told(key: JobKey, damage: str, copied: float, last: float, kept: Path | None) -> str:
    moment = f"{datetime.fromtimestamp(copied, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    seconds = max(1.0, last - copied)
    span = f"{seconds / 60:.1f} minutes" if seconds >= 60 else counted(round(seconds), "second")
    where = f" What is left of it is kept: {kept}." if kept is not None else ""
    if damage.endswith(GONE):
        where += (
            " If it was deleted to begin anew: RESUME_MODE=fresh does so, and `scrapy resume reset "
            f"'{key}'` deletes a job with its copy."
        )
    return (
        f"{damage}. Job {key} is restored from its copy of {moment}: what it recorded after that, "
        f"in {span} at most, is lost, and pages that were fetched since are fetched "
        f"again.{where}"
    )
