"""Parts of the ``--json`` documents that are computed from rows: units, failures, custom stats.

No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from scrapy_resume.errors import http_status_of
from scrapy_resume.model import UnitState

CUSTOM: Final = "custom/"
"""Prefix of the stats that a spider counts for itself."""

HELD: Final = "resume/held"
"""The stat that counts requests which a run did not restore. Below it: by what it lacked."""

UNIT_STATES: Final = ("pending", "in_progress", "completed", "partial", "failed", "parked")


def unit_state_of(name: str) -> UnitState:
    """The state of that name. Raises ``ValueError``, which lists all names."""
    if name not in UnitState.__members__:
        raise ValueError(f"unknown state {name!r}; use one of {', '.join(UNIT_STATES)}")
    return UnitState[name]


def units_answer(tally: Mapping[UnitState, int]) -> dict[str, int]:
    """Units by state, and their ``total``."""
    counts = {name: tally[UnitState[name]] for name in UNIT_STATES}
    return {**counts, "total": sum(counts.values())}


def with_http_status(units: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Units, each with the HTTP status that its ``error`` is about."""
    for unit in units:
        shown = {}
        for name, value in unit.items():
            shown[name] = value
            if name == "error_message":
                shown["http_status"] = http_status_of(value)
        yield shown


def grouped_failures(failed: Iterable[Mapping[str, Any]], examples: int) -> list[dict[str, Any]]:
    """Failed requests by error and HTTP status, as ``failed --json`` prints them; those that are
    done and lost items come after them, by error."""
    groups: dict[tuple[bool, str | None, int | None], dict[str, Any]] = {}
    for row in failed:
        lost = row["state"] == "done"
        # A page that is done has an HTTP status of its own, which is not that of what was lost.
        status = None if lost else row["http_status"]
        group = groups.setdefault(
            (lost, row["error"], status),
            {
                "error": row["error"],
                "http_status": status,
                "count": 0,
                "items_failed": 0,
                "error_message": row["error_message"],
                "first_at": row["updated_at"],
                "last_at": row["updated_at"],
                "examples": [],
            },
        )
        group["count"] += 1
        group["items_failed"] += row["items_failed"] if lost else 0
        group["first_at"] = min(group["first_at"], row["updated_at"])
        group["last_at"] = max(group["last_at"], row["updated_at"])
        if len(group["examples"]) < examples:
            group["examples"].append(row["url"])
    ordered = sorted(groups.items(), key=lambda one: (one[0][0], -one[1]["count"], one[0][1] or ""))
    return [group for _, group in ordered]


def summed_custom(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Custom stats of all runs by name without the prefix: numbers are added up; of other values,
    that of the latest run counts."""
    total: dict[str, Any] = {}
    for run in runs:
        for name, value in run.get("custom", {}).items():
            if not name.startswith(CUSTOM):
                continue
            key = name.removeprefix(CUSTOM)
            before = total.get(key)
            total[key] = before + value if _is_number(before) and _is_number(value) else value
    return total


def custom_shares(custom: Mapping[str, Any]) -> dict[str, float]:
    """Which part of another figure a figure is, for those that are named below one: ``frames/nko``
    is a part of ``frames``. Left out if that is no number above 0."""
    shares = {}
    for name, value in custom.items():
        whole = next((custom[above] for above in _names_above(name) if above in custom), None)
        if _is_number(value) and whole is not None and _is_number(whole) and whole > 0:
            shares[name] = value / whole
    return shares


def shown_custom(
    custom: Mapping[str, Any], shares: Mapping[str, float] | None
) -> Iterator[tuple[str, str]]:
    """The figures, and what people read: ``("frames/nko", "300 (2.5%)")``."""
    for name, value in custom.items():
        share = (shares or {}).get(name)
        yield name, str(value) if share is None else f"{value} ({100 * share:.1f}%)"


def _names_above(name: str) -> Iterator[str]:
    """``a/b/c`` → ``a/b``, ``a``."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def held_answer(runs: Iterable[Mapping[str, Any]], pending: int) -> list[dict[str, Any]]:
    """What the last run that has ended could not restore: names of code, and how many requests
    want each. Empty if none of them is ``pending`` any more."""
    ended = [run for run in runs if run["ended_at"] is not None and run.get("stats")]
    if not ended or not pending:
        return []
    stats = max(ended, key=lambda run: run["ended_at"])["stats"]
    return [
        {"name": name.removeprefix(f"{HELD}/"), "requests": count}
        for name, count in sorted(stats.items())
        if name.startswith(f"{HELD}/")
    ]


def with_held(
    rows: Iterable[dict[str, Any]], held: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Requests; those that are held because of their callback have that as their error."""
    names = {row["name"] for row in held}
    for row in rows:
        # A function is held by its path, ``shop.parse:parse`` of ``function:shop.parse:parse``.
        callback = row["callback"]
        name = callback.partition(":")[2] or callback
        if row["state"] == "pending" and name in names:
            row["error"] = "CallbackMissingError"
            row["error_message"] = f"held: the last run could not restore {name}"
        yield row


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
