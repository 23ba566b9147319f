"""Times as people and programs read them."""

from __future__ import annotations

from datetime import datetime, timezone


def iso(seconds: float) -> str:
    """A time (seconds since the epoch) as everything here writes it: ISO 8601 in UTC, to the
    second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
