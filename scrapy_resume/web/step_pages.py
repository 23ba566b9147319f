"""The pages about the steps of a job's items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey
from scrapy_resume.reporting.step_documents import STEP_STATES, step_selection
from scrapy_resume.store.contract import Page
from scrapy_resume.web import documents
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.job_frame import Shown, frame, readable_document
from scrapy_resume.web.plots import Part, columns
from scrapy_resume.web.query import QueryError, filters_of_query, row_id
from scrapy_resume.web.row_pages import LONGEST_TREE, paging_of, span_of

ROWS: Final = 25
DAYS: Final = 60
"""Of a plot, at most; the table has as many."""
PLOTS_AT_MOST: Final = 12
OPEN: Final = ("pending", "running")
TRIED_AGAIN: Final = ("failed", "parked", "done", "skipped")
GIVEN_UP: Final = ("failed", "parked")


def steps(ask: Ask) -> Shown:
    """The steps by state, by day and by error, and the items that have them."""
    key = ask.key()
    document = readable_document(ask, key)
    found = documents.steps(ask, key)
    step, usual = _chosen_step(ask, found)
    states, page = _listed(ask, key, step, usual)
    total = sum(row[state] for row in found if row["step"] == step for state in STEP_STATES)
    return "steps", {
        **frame(ask, key, document),
        "tab": "steps",
        "steps": [{**row, "parts": _parts(row)} for row in found],
        "days": _days(ask.pages.step_days(key), [row["step"] for row in found]),
        "days_at_most": DAYS,
        "errors": [(row["step"], group) for row in found for group in row["errors"]],
        "errors_of": documents.STEPS_LOOKED_AT,
        "step": step,
        "usual": usual,
        "chosen": states,
        "states": STEP_STATES,
        "item": ask.query.get("item", ""),
        "missing": ask.query.get("missing", ""),
        "rows": [_row(ask, row) for row in page.rows],
        "bulk": {
            "retry": _bulk(ask, step, states, TRIED_AGAIN),
            "skip": _bulk(ask, step, states, GIVEN_UP),
        },
        **paging_of(ask, page, total),
    }


def _chosen_step(ask: Ask, found: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """(the step whose items are listed, the states of it that are if none is asked for): what has
    failed, or else what is open; of the first step that has such, unless one is asked for."""
    asked = ask.query.get("step", "")
    names = [row["step"] for row in found]
    if asked and names and asked not in names:
        raise QueryError(f"there is no step {asked!r}; there are {', '.join(names)}")
    rows = [row for row in found if asked in ("", row["step"])]
    for states in (GIVEN_UP, OPEN):
        for row in rows:
            if any(row[state] for state in states):
                return str(row["step"]), states
    return (str(rows[0]["step"]) if rows else ""), OPEN


def _listed(ask: Ask, key: JobKey, step: str, usual: Sequence[str]) -> tuple[list[str], Page]:
    """(the states that are asked for, a page of the items that have the step so)."""
    states = filters_of_query(ask.query, ("state",)).get("state", [])
    item = ask.query.get("item", "").strip()
    chosen = step_selection(
        step,
        state=states or (None if item else usual),
        items=item or None,
        missing=[one for one in ask.query.getlist("missing") if one] or None,
    )
    if not step:
        return states, Page(rows=[])
    span = span_of(ask, ROWS)
    page = documents.looked(lambda part: ask.pages.stepped_page(key, chosen, part), span)
    return states, page


def _row(ask: Ask, record: Mapping[str, Any]) -> dict[str, Any]:
    row = documents.item_row(ask.reports, record)
    row["short"] = json.dumps(row["item"], ensure_ascii=False)[:500]
    return row


def _bulk(ask: Ask, step: str, states: Sequence[str], possible: Sequence[str]) -> str:
    """The filters of an action for all that are listed; empty: none of them can be changed so."""
    filters: dict[str, Any] = {"step": step}
    if states:
        filters["state"] = [state for state in states if state in possible]
        if not filters["state"]:
            return ""
    if item := ask.query.get("item", "").strip():
        filters["items"] = [item]
    if missing := [one for one in ask.query.getlist("missing") if one]:
        filters["missing"] = missing
    return json.dumps(filters)


def _parts(row: Mapping[str, Any]) -> list[Part]:
    """The bar of a step: what is left of it is pending."""
    styles = {"done": "done", "skipped": "ignored", "failed": "failed", "parked": "parked"}
    parts = [Part(row[state], style) for state, style in styles.items()]
    return [*parts, Part(row["running"], "running")]


def _days(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each step that was tried: how its attempts ended by day, drawn and as a table."""
    found = []
    for name in names[:PLOTS_AT_MOST]:
        of_step = {date.fromisoformat(row["day"]): row for row in rows if row["step"] == name}
        if not of_step:
            continue
        last = max(of_step)
        first = max(min(of_step), last - timedelta(days=DAYS - 1))
        days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
        drawn = [_day_parts(of_step.get(day)) for day in days]
        found.append(
            {
                "step": name,
                "plot": columns(
                    [parts for parts, _ in drawn],
                    [f"{day}: {label}" for day, (_, label) in zip(days, drawn, strict=True)],
                ),
                "first": str(days[0]),
                "last": str(days[-1]),
                "rows": [of_step[day] for day in reversed(days) if day in of_step],
            }
        )
    return found


def _day_parts(row: Mapping[str, Any] | None) -> tuple[list[Part], str]:
    """How the attempts of a day ended, as shares of a column that is always as high."""
    counts = {"done": "done", "skipped": "ignored", "failed": "failed"}
    total = 0 if row is None else sum(row[name] for name in counts)
    if row is None or not total:
        return [], "no attempt ended"
    parts = [Part(row[name] / total, style) for name, style in counts.items()]
    label = ", ".join(f"{row[name]:,} {name}" for name in counts if row[name])
    return parts, label


def stepped_item(ask: Ask) -> Shown:
    """One item with its steps, whether it is visible by now or not."""
    key = ask.key()
    record = ask.pages.stepped_item(key, row_id(ask.path["row"]))
    if record is None:
        raise JobNotFoundError(f"{key} has no item {ask.path['row']} with steps.")
    return "item", {
        **frame(ask, key, readable_document(ask, key)),
        "tab": "steps",
        "row": documents.item_row(ask.reports, record),
        "is_visible": record["visible"] is not None,
        "is_long": len(record["payload"]) > LONGEST_TREE,
    }
