"""A job's summary, and its runs, out of the columns that the statements of each store have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from scrapy_resume.model import LIVE_STATUSES, Counts, JobKey, JobSummary


def summary_of(
    key: JobKey, row: Mapping[str, Any], owner: Mapping[str, Any], *, alive: bool
) -> JobSummary:
    """``owner``: the columns ``worker`` and ``started_at`` of who has the job, or had it last."""
    return JobSummary(
        key=key,
        spider=row["spider"],
        status=row["status"],
        reason=None if row["status"] in LIVE_STATUSES else row["reason"],
        alive=alive,
        owner=owner["worker"],
        owned_since=owner["started_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        completed_at=row["completed_at"],
        counts=Counts.of(row),
        input_hashes=json.loads(row["input_hashes"]),
        metadata=json.loads(row["metadata"]),
        arguments=json.loads(row["arguments"]),
        start_exhausted=bool(row["start_exhausted"]),
        delta=bool(row["delta"]),
        # Readers don't migrate: a store of version 1 has no such column.
        round=row.get("round", 0),
        launch=json.loads(row["launch"] or "null"),
        expected_total=row["expected_total"],
        uid=row.get("uid", ""),
    )


_RUN: Final = (
    "number",
    "worker",
    "status",
    "reason",
    "started_at",
    "beat_at",
    "ended_at",
    "pages",
    "items",
)
_RUN_SINCE_3: Final[Mapping[str, Any]] = {
    "units": 0,
    "unit_pages": 0,
    "named_pages": 0,
    "cursor": None,
}
"""Columns that a store of an older version, which no run has opened since, does not have."""


def run_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run in the keys of ``Reader.runs``, from all its columns."""
    return {
        **{name: row[name] for name in _RUN},
        **{name: row.get(name, default) for name, default in _RUN_SINCE_3.items()},
        "stats": None if row["stats"] is None else json.loads(row["stats"]),
        "custom": json.loads(row["custom"] or "{}"),
    }
