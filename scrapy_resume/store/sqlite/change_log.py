"""The change log in a job's file: one run at a time commits, so its ids are the order of all
commits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from scrapy_resume.store.contract import Change, ChangePortion, LogMark
from scrapy_resume.store.transaction.queries import load_queries

LOG: Final = load_queries("sqlite", "change_log.sql")


def changes(
    connection: sqlite3.Connection, position: Sequence[LogMark], count: int
) -> ChangePortion:
    """See ``ChangeLog.changes``. In one snapshot, or by the only writer of the file."""
    after = position[0].id if position else 0
    last, run, started_at = connection.execute(LOG["end_of_log"]).fetchone()
    values = {"after": after, "through": last, "count": count}
    found = [Change(*row) for row in connection.execute(LOG["changes"], values)]
    more = len(found) == count
    through = found[-1].id if more else max(after, last)
    return ChangePortion(found, (LogMark(run or 0, started_at or 0.0, through),), more)


def chosen(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Change]:
    """See ``ChangeLog.chosen``."""
    return [Change(*row) for row in connection.execute(LOG["chosen"], (json.dumps(ids),))]


def holds(connection: sqlite3.Connection, position: Sequence[LogMark]) -> bool:
    """See ``ChangeLog.holds``: what lies below a run's first id is of the runs before it."""
    if not position:
        return True
    mark = position[0]
    values = {"run": mark.run, "started_at": mark.started_at}
    found = connection.execute(LOG["next_run"], values).fetchone()
    if found is None:
        return False
    (last, *_) = connection.execute(LOG["end_of_log"]).fetchone()
    end = last if found[0] is None else found[0] - 1
    return bool(mark.id <= end)


class SqliteChangeLog:
    """The log as a reader sees it, in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position."""
        return changes(self._connection, position, count)

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Those of the items with these ids that are visible."""
        return chosen(self._connection, ids)

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this job's history."""
        return holds(self._connection, position)
