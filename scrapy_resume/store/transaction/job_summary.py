"""A job's summary, out of the columns that the statement ``summary`` of each store has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
    )
