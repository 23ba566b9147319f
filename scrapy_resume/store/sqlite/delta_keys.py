"""What a new job's file copies from earlier ones: keys of requests that gave items, and skips."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.store.sqlite.errors import translated
from scrapy_resume.store.sqlite.files import JobFile
from scrapy_resume.store.sqlite.opening import transaction
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.skip_tables import SKIPS
from scrapy_resume.store.sqlite.statements import OPENING
from scrapy_resume.store.transaction.delta_keys import up_to_first_keeper

log = logging.getLogger("scrapy_resume")

READ_ONLY: Final = "mode=ro"


def earlier_to_read(earlier: Sequence[JobFile], delta: bool) -> list[JobFile]:
    """The files to copy keys from, out of all earlier ones, which are given by number.

    Empty if the job was never crawled in the mode ``delta`` and is not now either. A damaged file
    is left alone: its requests are fetched again.
    """
    readable = _readable(earlier, logging.WARNING if delta else logging.DEBUG)
    if not delta:
        latest = next(readable, None)
        return [latest[0]] if latest is not None and latest[1] else []
    return up_to_first_keeper(readable)


def _readable(earlier: Sequence[JobFile], level: int) -> Iterator[tuple[JobFile, bool]]:
    """The readable files, the latest first, and whether each has the keys of all before it."""
    for job in reversed(earlier):
        try:
            with reading(job.path) as connection:
                ((keeps,),) = connection.execute(OPENING["keeps_given"]).fetchall()
        except StoreDamagedError as error:
            log.log(level, "Requests that gave items in %s are fetched again: %s", job.key, error)
            continue
        yield job, bool(keeps)


def _partial(connection: sqlite3.Connection) -> list[int]:
    """Requests of the attached number whose items are not complete: they have given nothing yet."""
    ((has_steps,),) = connection.execute(OPENING["earlier_has_steps"]).fetchall()
    if not has_steps:
        return []
    return [request for (request,) in connection.execute(OPENING["earlier_partial"])]


def carry(connection: sqlite3.Connection, earlier: Sequence[JobFile], delta: bool) -> int:
    """Copy the keys into a new file; returns how many it has then.

    Each earlier file is attached in its own transaction: SQLite limits how many can be attached.
    """
    count = 0
    for job in earlier:
        with translated(job.path), _attached(connection, job.path), transaction(connection):
            partial = json.dumps(_partial(connection))
            count += connection.execute(OPENING["carry_given"], {"partial": partial}).rowcount
    connection.execute(OPENING["keep_given"], (delta,))
    return count


def carry_skips(connection: sqlite3.Connection, earlier: Sequence[JobFile]) -> None:
    """Copy what commands have said to skip from the latest earlier number that can be read."""
    for job in reversed(earlier):
        try:
            with reading(job.path):
                pass
        except StoreDamagedError as error:
            log.warning("What was skipped for good in %s is not known: %s", job.key, error)
            continue
        with translated(job.path), _attached(connection, job.path), transaction(connection):
            if connection.execute(SKIPS["has_rules_earlier"]).fetchall()[0][0]:
                for name in ("carry_rules", "carry_keys", "carried"):
                    connection.execute(SKIPS[name])
        return


@contextmanager
def _attached(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    connection.execute(OPENING["attach_earlier"], (f"{path.absolute().as_uri()}?{READ_ONLY}",))
    try:
        yield
    finally:
        connection.execute(OPENING["detach_earlier"])
