"""The parts of a job's document that are the same for each run, and for a job that cannot be read.

No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scrapy_resume.model import LIVE_STATUSES, TAKEN_OVER
from scrapy_resume.reporting import times

NOTHING_KNOWN: Final = dict.fromkeys(
    (
        "job",
        "number",
        "spider",
        "kind",
        "arguments",
        "status",
        "reason",
        "created_at",
        "updated_at",
        "completed_at",
        "requests",
        "items",
        "steps",
        "units",
        "success_rate",
        "pages_per_minute",
        "items_per_minute",
        "named_units",
        "units_per_hour",
        "metadata",
        "custom",
        "custom_shares",
        "expected_total",
        "elapsed_seconds",
        "eta_seconds",
        "eta_basis",
        "in_flight",
        "held",
        "error",
        "undelivered",
        "runs",
    )
)
"""The answer about a job that cannot be read: the same keys as any other."""


def run_answer(run: Mapping[str, Any], alive: bool) -> dict[str, Any]:
    """A run, as ``status --json`` prints it."""
    return {
        "number": run["number"],
        "worker": run["worker"],
        "status": "paused" if _was_taken_over(run) else shown_status(run["status"], alive),
        "reason": run["reason"],
        "started_at": moment(run["started_at"]),
        "ended_at": moment(run["ended_at"]),
        "pages": run["pages"],
        "items": run["items"],
    }


def _was_taken_over(run: Mapping[str, Any]) -> bool:
    """Whether another process has fenced it by force: it has not crashed."""
    return run["status"] == "crashed" and (run["reason"] or "").startswith(TAKEN_OVER)


def shown_status(stored: str, alive: bool) -> str:
    """The status of a job or a run: without a live owner it has crashed."""
    return "crashed" if stored in LIVE_STATUSES and not alive else stored


def moment(seconds: float | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if seconds is None else times.iso(seconds)
