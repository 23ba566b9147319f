"""How far a job has come, and when its progress line is due: for the log, the bar, every screen.

A request has *ended* when it is neither pending nor leased. The *whole* of a job is all its known
requests, or the pages that its spider expects (``resume_total``), whichever is more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Counts, StepCounts, UnitState
from scrapy_resume.reporting.eta import Eta
from scrapy_resume.reporting.unit_progress import UnitProgress, unit_progress
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.wording import counted

LINE_SECONDS: Final = 60
"""A progress line is logged at least this often."""

UNITS_LISTED: Final = 3
LONGEST_UNIT: Final = 60
"""Characters of a unit's name in a progress line."""


class LineSchedule:
    """When the next progress line is due: after so many pages, or so many items, whichever comes
    first; and once a minute."""

    def __init__(self, every: int, now: float) -> None:
        """``every``: RESUME_PROGRESS_EVERY. ``now``, here and below: monotonic seconds."""
        self._every = every
        self._pages = 0
        """Since the last line, as ``_items``."""
        self._items = 0
        self._logged_at = now

    def page(self) -> bool:
        """A page was counted. Whether a line is due."""
        self._pages += 1
        return self._pages >= self._every

    def item(self) -> bool:
        """An item was counted. Whether a line is due."""
        self._items += 1
        return self._items >= self._every

    def is_due(self, now: float) -> bool:
        """Whether a minute has passed since the last line."""
        return now - self._logged_at >= LINE_SECONDS

    def logged(self, now: float) -> None:
        """A line was logged."""
        self._pages = self._items = 0
        self._logged_at = now


class Progress(NamedTuple):
    """The numbers of a progress line."""

    ended: int
    whole: int
    success_rate: float | None
    """From 0 to 1; ``None`` before the first request has ended."""
    items_per_minute: float | None
    eta_seconds: float | None
    eta_basis: str | None = None
    """See ``Eta``."""
    units: UnitProgress | None = None
    """``None``: fewer than two units are named."""
    units_per_hour: float | None = None
    working_on: Sequence[str] = ()
    """Named units of which requests are in hand."""
    steps: tuple[int, int] | None = None
    """Steps of items that have ended, and all; ``None``: there are none."""

    @property
    def eta(self) -> Eta:
        """When the job may end."""
        return Eta(self.eta_seconds, self.eta_basis)

    @property
    def share(self) -> float | None:
        """``ended`` / ``whole``, from 0 to 1; ``None`` without any request."""
        return self.ended / self.whole if self.whole else None

    def line(self) -> str:
        """``45.5% (5000/11000) | success 98.2% | 42.3 items/s | ETA 2.4 min, of what is known``;
        where units are named, how many have ended, and which are in work."""
        success = "unknown" if self.success_rate is None else percent(self.success_rate)
        parts = [
            f"{percent(self.share or 0.0)} ({self.ended}/{self.whole})",
            f"success {success}",
            f"{(self.items_per_minute or 0.0) / 60:.1f} items/s",
            self.eta.text(),
        ]
        if self.steps is not None:
            parts.append(f"steps {self.steps[0]}/{self.steps[1]}")
        if self.units is not None:
            parts.append(self.units.text(self.units_per_hour))
        if self.working_on:
            parts.append(f"in work: {_listed(self.working_on)}")
        return " | ".join(parts)


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
        eta_basis=answer.get("eta_basis"),
        units=units_of(answer),
        units_per_hour=answer.get("units_per_hour"),
    )


def units_of(answer: Mapping[str, Any]) -> UnitProgress | None:
    """The progress by named unit from a document of ``status --json``."""
    named = answer.get("named_units")
    if not named:
        return None
    return unit_progress({UnitState[name]: named[name] for name in UnitState.__members__})


def ended_and_whole(counts: Counts, expected_total: float | None) -> tuple[int, int]:
    """(requests that have ended, requests of the whole job)."""
    return counts.total - counts.open, _whole(counts.total, expected_total)


def counts_at_end(counts: Counts) -> str:
    """The counts of a job when a run of it has ended, for the log."""
    parts = [f"{counts.done} done", f"{counts.open} pending", f"{counts.failed} failed"]
    if counts.parked:
        parts.append(f"{counts.parked} parked")
    parts.append(counted(counts.items_stored, "item"))
    if counts.items_failed:
        parts.append(f"{counts.items_failed} lost")
    return ", ".join(parts)


def steps_of(counts: Mapping[str, StepCounts]) -> tuple[int, int] | None:
    """(steps of items that have ended, all steps); ``None``: there are none."""
    open_ = sum(step.open for step in counts.values())
    ended = sum(step.done + step.failed + step.parked + step.skipped for step in counts.values())
    return (ended, ended + open_) if ended or open_ else None


def steps_at_end(counts: Mapping[str, StepCounts]) -> str:
    """What is added to the counts if steps of items are open, or have failed."""
    open_ = sum(step.open for step in counts.values())
    failed = sum(step.failed + step.parked for step in counts.values())
    parts = [f"{counted(open_, 'step')} pending"] if open_ else []
    if failed:
        parts.append(f"{counted(failed, 'step')} failed")
    return "".join(f", {part}" for part in parts)


def skipped_at_end(count: int) -> str:
    """What is added to the counts if requests were skipped for good."""
    return f", {count} skipped for good" if count else ""


def percent(share: float | None) -> str:
    """``0.982`` → ``98.2%``; a dash for ``None``. Only a whole is shown as 100%."""
    if share is None:
        return "-"
    shown = f"{100 * share:.1f}%"
    return "99.9%" if shown == "100.0%" and share < 1 else shown


def shown_unit(name: str) -> str:
    """A unit's name in one line of a log, not too long."""
    line = "".join(char if char.isprintable() else "?" for char in masked_text(name))
    return line if len(line) <= LONGEST_UNIT else f"{line[: LONGEST_UNIT - 3]}..."


def _listed(units: Sequence[str]) -> str:
    names = ", ".join(map(shown_unit, units[:UNITS_LISTED]))
    more = len(units) - UNITS_LISTED
    return f"{names} and {more} more" if more > 0 else names


def _whole(total: int, expected_total: float | None) -> int:
    return max(total, int(expected_total or 0))
