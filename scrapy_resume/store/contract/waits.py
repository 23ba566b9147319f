"""How long something may wait, whatever time was stored: the clock may have been wrong then.

Times until which rows and hosts wait are stored as times of day. A clock that was fast when they
were stored, or that was set back since, would make the waits longer than anybody has asked for. So
they are bounded when they are read: by what the settings allow, counted from now on.
"""

from __future__ import annotations

import json

from msgspec import Struct

from scrapy_resume.store.contract.notes import HostNote

FOR_EVER = float("inf")

OPEN_UNTIL = "open_until"
WAIT_UNTIL = "wait_until"
STORED_AT = "at"


class WaitLimits(Struct, frozen=True):
    """The longest waits, in seconds."""

    retry_seconds: float = FOR_EVER
    """Of a row before its next attempt."""
    cooldown_seconds: float = FOR_EVER
    """Of a host whose breaker is open."""
    retry_after_seconds: float = FOR_EVER
    """Of a host that has asked for it (``Retry-After``)."""


NO_LIMITS = WaitLimits()


def bounded(moment: float, now: float, longest_seconds: float, stored_at: float = 0.0) -> float:
    """The time until which something waits that was stored to wait until ``moment``.

    At most ``longest_seconds`` from ``now`` on. If it was stored at a time that has not come yet,
    the clock has been set back: then at most as long as it was to wait when it was stored.
    ``stored_at``: 0 if that is unknown.
    """
    if moment <= now:
        return moment
    if stored_at > now:
        longest_seconds = min(longest_seconds, max(moment - stored_at, 0.0))
    return min(moment, now + longest_seconds)


def bounded_host(note: HostNote, now: float, limits: WaitLimits) -> HostNote:
    """The record of a host with its times bounded; the same note if none has to be."""
    values = json.loads(note.record)
    stored_at = values.get(STORED_AT, 0.0)
    changes = {
        name: time
        for name, longest_seconds in (
            (OPEN_UNTIL, limits.cooldown_seconds),
            (WAIT_UNTIL, limits.retry_after_seconds),
        )
        if (time := bounded(values.get(name, 0.0), now, longest_seconds, stored_at))
        != values.get(name, 0.0)
    }
    if not changes:
        return note
    return HostNote(note.key, json.dumps({**values, **changes, STORED_AT: now}))


def shifted_host(note: HostNote, seconds: float) -> HostNote:
    """The record of a host with its times on a clock that is ahead by so many seconds."""
    values = json.loads(note.record)
    times = {
        name: values[name] + seconds
        for name in (OPEN_UNTIL, WAIT_UNTIL, STORED_AT)
        if values.get(name)
    }
    return HostNote(note.key, json.dumps({**values, **times}))
