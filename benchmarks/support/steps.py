"""The steps of items that are measured."""

from __future__ import annotations


async def nothing(item: object) -> None:
    """Ends at once, and gives nothing."""
