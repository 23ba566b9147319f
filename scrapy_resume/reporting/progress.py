"""How far a job has come, and when its progress line is due: for the log, the bar, every screen.

A request has *ended* when it is neither pending nor leased. The *whole* of a job is all its known
requests, or the pages that its spider expects (``resume_total``), whichever is more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Counts

LINE_SECONDS: Final = 60
"""A progress line is logged at least this often."""


class LineSchedule:
    """When the next progress line is due: after so many pages or items, and once a minute."""

    def __init__(self, every: int, now: float) -> None:
        """``every``: RESUME_PROGRESS_EVERY. ``now``, here and below: monotonic seconds."""
        self._every = every
        self._events = 0
        """Pages and items since the last line."""
        self._logged_at = now

    def counted(self) -> bool:
        """A page or an item was counted. Whether a line is due."""
        self._events += 1
        return self._events >= self._every

    def is_due(self, now: float) -> bool:
        """Whether a minute has passed since the last line."""
        return now - self._logged_at >= LINE_SECONDS

    def logged(self, now: float) -> None:
        """A line was logged."""
        self._events = 0
        self._logged_at = now


class Progress(NamedTuple):
    """The numbers of a progress line."""

    ended: int
    whole: int
    success_rate: float | None
    """From 0 to 1; ``None`` before the first request has ended."""
    items_per_minute: float | None
    eta_seconds: float | None

    @property
    def share(self) -> float | None:
        """``ended`` / ``whole``, from 0 to 1; ``None`` without any request."""
        return self.ended / self.whole if self.whole else None

    def line(self) -> str:
        """``45.5% (5000/11000) | success 98.2% | 42.3 items/s | ETA 2.4 min``."""
        success = "unknown" if self.success_rate is None else percent(self.success_rate)
        eta = "unknown" if self.eta_seconds is None else f"{self.eta_seconds / 60:.1f} min"
        return (
            f"{percent(self.share or 0.0)} ({self.ended}/{self.whole}) | success {success} |"
            f" {(self.items_per_minute or 0.0) / 60:.1f} items/s | ETA {eta}"
        )


def progress_of(answer: Mapping[str, Any]) -> Progress:
    """The progress of a job from its document of ``status --json``."""
    counts = answer["requests"]
    ended = counts["total"] - counts["pending"] - counts["leased"]
    return Progress(
        ended=ended,
        whole=_whole(counts["total"], answer["expected_total"]),
        success_rate=answer["success_rate"],
        items_per_minute=answer["items_per_minute"],
        eta_seconds=answer["eta_seconds"],
    )


def ended_and_whole(counts: Counts, expected_total: float | None) -> tuple[int, int]:
    """(requests that have ended, requests of the whole job)."""
    return counts.total - counts.open, _whole(counts.total, expected_total)


def counts_at_end(counts: Counts) -> str:
    """The counts of a job when a run of it has ended, for the log."""
    return (
        f"{counts.done} done, {counts.open} pending, {counts.failed} failed, "
        f"{counts.items_stored} items"
    )


def skipped_at_end(count: int) -> str:
    """What is added to the counts if requests were skipped for good."""
    return f", {count} skipped for good" if count else ""


def percent(share: float | None) -> str:
    """``0.982`` → ``98.2%``; a dash for ``None``. Only a whole is shown as 100%."""
    if share is None:
        return "-"
    shown = f"{100 * share:.1f}%"
    return "99.9%" if shown == "100.0%" and share < 1 else shown


def _whole(total: int, expected_total: float | None) -> int:
    return max(total, int(expected_total or 0))
