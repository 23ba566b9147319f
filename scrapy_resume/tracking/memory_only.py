"""Warns of requests that cannot be serialized, with the consequences (see docs/lineage.md)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from scrapy_resume.model import START

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.errors import NotRecordableError
    from scrapy_resume.frontier.row import Row

logger = logging.getLogger("scrapy_resume")

KINDS: Final = 1_000
"""Kinds of requests that are warned of at most: with closures, every request may be a new kind."""


class MemoryOnlyLog:
    """Warns once for each kind of request (callback and class), and counts all in a stat."""

    def __init__(self, stats: StatsCollector) -> None:
        self._stats = stats
        self._warned: set[str] = set()

    def report(self, request: Request, parent: Row | None, error: NotRecordableError) -> None:
        """``parent``: the row that yielded it, and yields it again in a replay; ``None``:
        unknown."""
        self._stats.inc_value("resume/unrecorded")
        callback = request.callback
        kind = f"{getattr(callback, '__qualname__', callback)} {type(request).__name__}"
        if kind in self._warned or len(self._warned) >= KINDS:
            return
        self._warned.add(kind)
        consequence = (
            "the page that yielded it is fetched again after a crash, and yields it again"
            if parent is not None and parent.id != START
            else "start() yields it again in the next run"
            if parent is not None
            else "nothing yields it again after a crash: it is lost then"
        )
        logger.warning(
            "%s cannot be serialized (%s), so it runs from memory: %s. "
            "To have it recorded, use a method of the spider as callback, and plain values. "
            "(Shown once for each kind of request; counted in resume/unrecorded.)",
            request,
            error,
            consequence,
        )
