"""Retrying and parking requests by a command: which ones, and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import Selection, State

RETRIED_BY_DEFAULT: Final = (State.failed, State.parked)
MAY_BE_RETRIED: Final = frozenset({State.failed, State.parked, State.done, State.ignored})
PARKED_BY_DEFAULT: Final = (State.pending, State.failed)
MAY_BE_PARKED: Final = frozenset(PARKED_BY_DEFAULT)
SKIPPED_STATES: Final = (State.pending, State.failed, State.parked)
"""States of requests that become ``ignored`` when they are skipped."""

PARKED: Final = "Parked"
"""The error of a request that a command has parked, not a crash."""

RETRIES: Final = "retry_times"
"""The key of ``meta`` in which Scrapy's retry middleware counts."""


AT_ONCE: Final = 5_000
"""Rows that one statement changes."""


def in_portions(
    find: Callable[[int, int], list[int]],
    change: Callable[[list[int]], int],
    limit: int | None = None,
) -> int:
    """Change the rows that ``find`` finds above an id, at most so many, in order and in portions.

    Returns how many were changed. ``limit``: change at most so many; ``None``: all.
    """
    total, after = 0, -1
    while limit is None or total < limit:
        ids = find(after, AT_ONCE if limit is None else min(AT_ONCE, limit - total))
        if not ids:
            break
        total += change(ids)
        after = ids[-1]
    return total


def to_retry(selection: Selection) -> Selection:
    """The selection, with the states that can be changed so. Raises ``ConfigurationError``.

    What was skipped for good is not in it, nor are dead letters, unless the selection is of that.
    """
    if selection.skipped:
        if selection.states:
            raise ConfigurationError(
                "What was skipped is ignored: give either --skipped or --state."
            )
        return replace(selection, states=(State.ignored,))
    if selection.dead:
        if selection.states not in ((), (State.failed,)):
            raise ConfigurationError("Dead letters have failed: give either --dead or --state.")
        return replace(selection, states=(State.failed,))
    selection = replace(selection, skipped=False, dead=False)
    if selection.partial and not selection.states:
        return replace(selection, states=(State.done,))
    return _of(selection, RETRIED_BY_DEFAULT, MAY_BE_RETRIED, "retried")


def to_park(selection: Selection) -> Selection:
    """The selection, with the states that can be changed so. Raises ``ConfigurationError``."""
    return _of(selection, PARKED_BY_DEFAULT, MAY_BE_PARKED, "parked")


def to_skip(selection: Selection) -> Selection:
    """The selection of what becomes ignored. What is done or ignored stays so, but may be named:
    later numbers skip it. Raises ``ConfigurationError`` for leased ones: these are skipped with
    others, if they were not sent."""
    return _of(selection, SKIPPED_STATES, frozenset(State) - {State.leased}, "skipped")


def _of(
    selection: Selection, usual: tuple[State, ...], possible: frozenset[State], what: str
) -> Selection:
    states = selection.states or usual
    for state in states:
        if state not in possible:
            names = ", ".join(State(one).name for one in sorted(possible))
            raise ConfigurationError(
                f"Requests that are {State(state).name} cannot be {what}; those that are {names} "
                "can."
            )
    return replace(selection, states=states)


def without_retries(payload: str) -> str:
    """The payload without Scrapy's count of retries: the request has all its attempts again."""
    fields = json.loads(payload)
    meta = fields.get("meta")
    if not isinstance(meta, dict) or RETRIES not in meta:
        return payload
    del meta[RETRIES]
    if not meta:
        del fields["meta"]
    return json.dumps(fields, separators=(",", ":"))
