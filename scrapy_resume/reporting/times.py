"""Times: the wall clock, and the text form in which programs and people read a time."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Final

_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


def now() -> float:
    """Seconds since the epoch. Reports and commands take the present time from here."""
    return time.time()


def iso(seconds: float) -> str:
    """Seconds since the epoch in ISO 8601, UTC, to the second: ``2024-05-01T10:00:00Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(_FORMAT)


def seconds_of(moment: str) -> float:
    """Seconds since the epoch of a time that ``iso`` wrote."""
    return datetime.strptime(f"{moment}+0000", f"{_FORMAT}%z").timestamp()
