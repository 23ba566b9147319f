"""The change log of a job of many workers: a mark for each run, which commits its changes in
order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from psycopg import Connection

from scrapy_resume.store.contract import Change, ChangePortion, LogMark
from scrapy_resume.store.transaction.queries import load_queries

LOG: Final = load_queries("postgres", "change_log.sql")


def changes(
    connection: Connection[Any], job: int, position: Sequence[LogMark], count: int
) -> ChangePortion:
    """See ``ChangeLog.changes``."""
    marks = {mark.run: mark for mark in position}
    since = [
        {"run": mark.run, "item": mark.id, "number": mark.number, "commits": mark.commits}
        for mark in position
    ]
    values = {"job": job, "marks": json.dumps(since), "count": count}
    rows = connection.execute(LOG["changes"], values).fetchall()
    found: list[Change] = []
    more = False
    for run, group in groupby(rows, key=itemgetter(0)):
        of_run = list(group)
        _, started_at, commits, *_ = of_run[0]
        mark = marks.get(run, LogMark(run, started_at, 0))._replace(started_at=started_at)
        changed = [row[3:] for row in of_run if row[4] is not None]
        items = sum(row[0] is None for row in changed)
        left = count in (items, len(changed) - items)
        for number, *change, back in changed:
            if len(found) == count:
                left = True
                break
            mark = mark._replace(id=change[0]) if number is None else mark._replace(number=number)
            if not back:
                found.append(Change(*change))
        more |= left
        marks[run] = mark._replace(commits=-commits if left else commits)
    return ChangePortion(found, tuple(marks.values()), more)


def chosen(connection: Connection[Any], job: int, ids: Sequence[int]) -> list[Change]:
    """See ``ChangeLog.chosen``."""
    rows = connection.execute(LOG["chosen"], {"job": job, "ids": list(ids)})
    return [Change(*row) for row in rows]


def holds(connection: Connection[Any], job: int, position: Sequence[LogMark]) -> bool:
    """See ``ChangeLog.holds``: each run began then, and has made at least so many commits."""
    runs = {row[0]: row for row in connection.execute(LOG["runs"], {"job": job})}
    return all(
        mark.run in runs
        and runs[mark.run][1] == mark.started_at
        and runs[mark.run][2] >= abs(mark.commits)
        for mark in position
    )


class PostgresChangeLog:
    """The log as a reader sees it; each question is one moment."""

    def __init__(self, connection: Connection[Any], job: int) -> None:
        self._connection = connection
        self._job = job

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position."""
        return changes(self._connection, self._job, position, count)

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Those of the items with these ids that are visible."""
        return chosen(self._connection, self._job, ids)

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this job's history."""
        return holds(self._connection, self._job, position)
