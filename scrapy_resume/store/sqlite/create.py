"""Creates a job's file: under another name first, so that it is whole or does not exist."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from scrapy_resume.disk import sync_directory, sync_file
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Opening
from scrapy_resume.store.sqlite.delta_keys import carry, carry_skips, earlier_to_read
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import JobFile, connect
from scrapy_resume.store.sqlite.leftovers import cleared
from scrapy_resume.store.sqlite.migrations import SCHEMA, record_version, split_statements
from scrapy_resume.store.sqlite.opening import transaction
from scrapy_resume.store.sqlite.reader import read_summary
from scrapy_resume.store.sqlite.statements import OPENING
from scrapy_resume.store.transaction.queries import read_sql
from scrapy_resume.store.transaction.storable_text import as_json
from scrapy_resume.wording import counted

log = logging.getLogger("scrapy_resume")


def never_ran(path: Path) -> bool:
    """Whether a start died or failed between the creation of the job and its first run."""
    job = read_summary(path)
    return job.status == "initialized" and not job.alive


def create_job(path: Path, key: JobKey, opening: Opening, earlier: Sequence[JobFile]) -> None:
    """Write the job's file under another name, then rename it: it is whole, or does not exist.

    ``earlier``: the files of earlier numbers, from which it copies the keys of requests that gave
    items, and what is skipped.
    """
    fresh = cleared(path)
    # 0600 from the first moment; SQLite gives its other files the same mode.
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = connect(fresh, FILES["configure_creator"], mode="rw")
    try:
        with transaction(connection):
            _fill(connection, key, opening)
        carry_skips(connection, earlier)
        sources = earlier_to_read(earlier, opening.delta)
        if opening.delta or sources:
            count = carry(connection, sources, opening.delta)
            known = counted(count, "request")
            log.info("%s knows %s that gave items in earlier numbers", key, known)
        connection.execute(FILES["use_wal"]).fetchall()
    finally:
        connection.close()
    sync_file(fresh)
    fresh.rename(path)
    sync_directory(path.parent)


def _fill(connection: sqlite3.Connection, key: JobKey, opening: Opening) -> None:
    for statement in split_statements(read_sql("sqlite", "schema.sql")):
        connection.execute(statement)
    record_version(connection, SCHEMA.version)
    connection.execute(
        OPENING["create_job"],
        {
            "name": key.name.encode("utf-8", "backslashreplace").decode(),
            "number": key.number,
            "spider": opening.spider,
            "now": time.time(),
            "arguments": as_json(opening.arguments),
            "metadata": as_json(opening.metadata),
            "input_hashes": as_json(opening.input_hashes),
            "launch": as_json(opening.launch) if opening.launch else None,
        },
    )
