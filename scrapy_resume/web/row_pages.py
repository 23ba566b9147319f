"""The pages about what a job has: requests, failures, units, items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey, UnitState
from scrapy_resume.reporting.documents import UNIT_STATES, unit_state_of
from scrapy_resume.store.contract import Page, Span
from scrapy_resume.web import documents
from scrapy_resume.web.api import unit_place
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.job_frame import Shown, frame, readable_document
from scrapy_resume.web.query import count_of, query_text, row_id, row_of, shown_filters

ROWS: Final = 50
ITEMS: Final = 25
CHAIN_AT_MOST: Final = 30
"""Pages that led to a request, on its own page."""
ITEMS_OF_REQUEST: Final = 20
FILLED_OF: Final = 500
"""Items of which it is counted how often their fields are filled."""
STATES: Final = ("pending", "leased", "done", "failed", "parked", "ignored")
LONGEST_TREE: Final = 200_000
"""Characters of an item that is shown as a tree; a longer one can be downloaded."""


def requests(ask: Ask) -> Shown:
    """Requests by the filters of the commands."""
    key = ask.key()
    document = readable_document(ask, key)
    filters, chosen = documents.chosen_requests(ask)
    page = documents.request_page(ask, key, chosen, span_of(ask, ROWS))
    return "requests", {
        **frame(ask, key, document),
        "tab": "requests",
        "rows": page.rows,
        "filters": filters,
        "shown_filters": shown_filters(filters),
        "filters_json": json.dumps(filters),
        "states": STATES,
        **paging_of(ask, page, document["requests"]["total"]),
    }


def request(ask: Ask) -> Shown:
    """One request: how it went, and what led to it."""
    key = ask.key()
    row = ask.pages.request(key, row_id(ask.path["row"]))
    if row is None:
        raise JobNotFoundError(f"{key} has no request {ask.path['row']}.")
    records = ask.pages.items_of(key, row["id"], ITEMS_OF_REQUEST)
    stepped = ask.pages.stepped_of(key, row["id"], ITEMS_OF_REQUEST)
    return "request", {
        **frame(ask, key, readable_document(ask, key)),
        "tab": "requests",
        "row": row,
        "chain": _chain(ask, key, row),
        "stepped": [documents.item_row(ask.reports, record) for record in stepped],
        "items": [documents.item_row(ask.reports, record) for record in records],
        "filters_json": json.dumps({"ids": [row["id"]], "state": [row["state"]]}),
        "skip_json": json.dumps({"ids": [row["id"]]}),
    }


def _chain(ask: Ask, key: JobKey, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pages that led to a request, the first one first."""
    chain: list[dict[str, Any]] = []
    parent = row["parent"]
    seen = {row["id"]}
    while parent and parent not in seen and len(chain) < CHAIN_AT_MOST:
        seen.add(parent)
        found = ask.pages.request(key, parent)
        if found is None:
            break
        chain.append(found)
        parent = found["parent"]
    return chain[::-1]


def failures(ask: Ask) -> Shown:
    """Failures by error."""
    key = ask.key()
    document = readable_document(ask, key)
    groups = documents.failures(ask, key)
    shown = [{**group, **_group_filters(group)} for group in groups]
    counts = document["requests"]
    return "failures", {
        **frame(ask, key, document),
        "tab": "failures",
        "groups": shown,
        "looked_at": documents.FAILURES_LOOKED_AT,
        "is_cut": counts["failed"] > documents.FAILURES_LOOKED_AT,
        "parked": counts["parked"],
    }


def _group_filters(group: Mapping[str, Any]) -> dict[str, Any]:
    """How the requests of a group are selected: in the query of a page, and for an action."""
    filters: dict[str, Any] = {"state": ["failed"]}
    if group["items_failed"]:
        filters = {"partial": True}
    if group["error"]:
        filters["error"] = [group["error"]]
    if group["http_status"]:
        filters["status"] = [group["http_status"]]
    return {"query": query_text(filters), "filters_json": json.dumps(filters)}


def units(ask: Ask) -> Shown:
    """Units by state."""
    key = ask.key()
    document = readable_document(ask, key)
    state = ask.query.get("state", "")
    states = (unit_state_of(state),) if state else ()
    page = ask.pages.unit_page(key, states, unit_place(ask), ROWS)
    following = None
    if page.after is not None:
        following = query_text(
            {"state": state, "after": f"{page.after.state.name}.{page.after.unit}"}
        )
    return "units", {
        **frame(ask, key, document),
        "tab": "units",
        "rows": documents.units(ask, page.rows),
        "chips": [(name, document["units"][name]) for name in UNIT_STATES],
        "state": state,
        "following": following,
        "is_first": "after" not in ask.query,
        "states": UnitState,
    }


def items(ask: Ask) -> Shown:
    """Stored items, and how often their fields are filled."""
    key = ask.key()
    document = readable_document(ask, key)
    filters, chosen = documents.chosen_requests(ask)
    text = ask.query.get("q", "").strip()
    page = documents.looked(
        lambda span: ask.pages.item_page(key, chosen, span, text or None), span_of(ask, ITEMS)
    )
    rows = [documents.item_row(ask.reports, record) for record in page.rows]
    for row in rows:
        row["short"] = json.dumps(row["item"], ensure_ascii=False)[:2_000]
    return "items", {
        **frame(ask, key, document),
        "tab": "items",
        "rows": rows,
        "text": text,
        "filters": filters,
        "fields": _filled(ask, key) if page.rows else [],
        "filled_of": min(FILLED_OF, document["items"]["stored"]),
        **paging_of(ask, page, document["items"]["stored"]),
    }


def _filled(ask: Ask, key: JobKey) -> list[tuple[str, int, float]]:
    """(field, how many of the newest items have it, their share)."""
    from scrapy_resume.model import Selection

    page = ask.pages.item_page(key, Selection(), Span(limit=FILLED_OF))
    counts: Counter[str] = Counter()
    for record in page.rows:
        for name, value in _fields_of(record["payload"]):
            counts[name] += value not in (None, "", [], {})
    return [(name, count, count / len(page.rows)) for name, count in counts.most_common(40)]


def _fields_of(payload: str) -> Sequence[tuple[str, Any]]:
    try:
        found = json.loads(payload)
    except ValueError:
        return []
    if isinstance(found, dict) and "$item" in found:
        found = found.get("fields")
    return list(found.items()) if isinstance(found, dict) else []


def item(ask: Ask) -> Shown:
    """One item as a tree."""
    key = ask.key()
    record = ask.pages.item(key, row_id(ask.path["row"]))
    if record is None:
        raise JobNotFoundError(f"{key} has no item {ask.path['row']}: its page was fetched again")
    row = documents.item_row(ask.reports, record)
    return "item", {
        **frame(ask, key, readable_document(ask, key)),
        "tab": "items",
        "row": row,
        "is_visible": True,
        "is_long": len(record["payload"]) > LONGEST_TREE,
    }


def span_of(ask: Ask, rows: int) -> Span:
    """Which part the query asks for; ``rows`` of it, unless it says how many."""
    return Span(
        before=row_of(ask.query, "before"),
        limit=count_of(ask.query, "limit", rows),
        bound=documents.LOOKED_AT,
    )


def paging_of(ask: Ask, page: Page, total: int) -> dict[str, Any]:
    """The links to the first page and the next one, and what was looked at."""
    query: dict[str, Any] = {
        name: ask.query.getlist(name) for name in ask.query if name != "before"
    }
    following = None if page.before is None else query_text({**query, "before": page.before})
    return {
        "following": following,
        "first": query_text(query),
        "is_first": "before" not in ask.query,
        "looked_at": page.looked_at,
        "total": total,
    }
