"""What has kept a job from going on, out of the stats of its runs. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

ERROR_CLASS: Final = "resume/error/class"
ERROR_MESSAGE: Final = "resume/error/message"
"""Stats of a run that could not bring its job further: class and message of the error."""

UNDELIVERED: Final = "resume/undelivered"
"""The stat that lists the feeds which a run could not deliver."""

Run = Mapping[str, Any]


def error_answer(runs: Iterable[Run], iso: Any) -> dict[str, Any] | None:
    """The error with which the last run that has ended could not bring the job further; ``None``:
    there was none.

    ``count``: how many runs in a row have ended with an error of that class. ``iso`` formats
    seconds since the epoch.
    """
    last = None
    count = 0
    for run in _latest_first(runs):
        name = run["stats"].get(ERROR_CLASS)
        if name is None or (last is not None and name != last["stats"][ERROR_CLASS]):
            break
        last = last or run
        count += 1
    if last is None:
        return None
    stats = last["stats"]
    return {
        "class": stats[ERROR_CLASS],
        "message": stats[ERROR_MESSAGE],
        "at": iso(last["ended_at"]),
        "count": count,
    }


def undelivered_answer(runs: Iterable[Run]) -> list[str]:
    """The feeds that the last run which has ended could not deliver."""
    for run in _latest_first(runs):
        return list(run["stats"].get(UNDELIVERED, ()))
    return []


def databases_behind(notes: Iterable[tuple[str, str]]) -> list[str]:
    """The databases that are feeds and have not had all items, as far as the store knows: (name,
    record) of each feed."""
    behind = []
    for name, record in notes:
        if record.startswith('{"database":') and json.loads(record)["database"]["behind"]:
            behind.append(name)
    return behind


def error_line(error: Mapping[str, Any]) -> str:
    """``ValueError: start() raised it: no seeds (2 runs, last at 2026-…)``."""
    times = "" if error["count"] == 1 else f"{error['count']} runs in a row, last "
    return f"{error['class']}: {error['message']} ({times}at {error['at']})"


def way_out_of(undelivered: Sequence[str], job: str) -> str:
    """What to do about feeds that a job owes."""
    them = "it" if len(undelivered) == 1 else "them"
    return (
        "the items are in the store: when the cause is removed, run the same command again to"
        f" write {them}, or scrapy resume export {job} -o FILE"
    )


def _latest_first(runs: Iterable[Run]) -> list[Run]:
    """The runs that have closed."""
    ended = [run for run in runs if run["ended_at"] is not None and run.get("stats")]
    return sorted(ended, key=lambda run: (run["ended_at"], run["number"]), reverse=True)
