"""The documents of ``--json`` as the API gives them, and what pages add to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from time import thread_time
from typing import Any, Final

from msgspec import structs

from scrapy_resume.model import LIVE_STATUSES, JobKey, Selection
from scrapy_resume.reporting.documents import held_answer, with_held, with_http_status
from scrapy_resume.reporting.filters import selection
from scrapy_resume.reporting.forecast import past
from scrapy_resume.reporting.latencies import latencies_of
from scrapy_resume.reporting.overview import LONGEST_PLOT_SECONDS
from scrapy_resume.reporting.reports import Reports
from scrapy_resume.reporting.spans import end_of, span_minutes, spans_of
from scrapy_resume.reporting.step_documents import item_state, step_documents
from scrapy_resume.reporting.times import iso
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.store.contract import Page, Span
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.query import filters_of_query

LOOKED_AT: Final = 10_000
"""Rows that one look at the store reads where no index finds them."""
LOOK_CPU_SECONDS: Final = 0.04
"""As long as nothing was found, it is looked further, until this time is spent."""
LINES_AT_ONCE: Final = 200
FAILURES_LOOKED_AT: Final = 5_000
STEPS_LOOKED_AT: Final = 2_000
"""Failed steps of each name that are grouped by error."""
STATUSES_LOOKED_AT: Final = 10_000


def all_jobs(ask: Ask) -> list[dict[str, Any]]:
    """All jobs, those that have changed last first."""
    stamps = ask.pages.stamps()
    ordered = sorted(stamps.items(), key=lambda one: one[1].changed_at, reverse=True)
    found = (ask.board.documents.of(ask.reports, key, stamp) for key, stamp in ordered)
    return [document for document in found if document is not None]


def chosen_requests(ask: Ask) -> tuple[dict[str, Any], Selection]:
    """(filters of the query, what they select). Raises ``ValueError``."""
    filters = filters_of_query(ask.query)
    return filters, selection(**filters)


def request_page(ask: Ask, key: JobKey, chosen: Selection, span: Span) -> Page:
    """A page of requests, with why those are held that the last run could not restore."""
    if chosen.skipped:
        chosen = replace(chosen, states=())
    page = looked(lambda part: ask.pages.request_page(key, chosen, part), span)
    held = held_answer(ask.pages.runs(key), 1)
    return structs.replace(page, rows=list(with_held(page.rows, held))) if held else page


def looked(ask: Callable[[Span], Page], span: Span) -> Page:
    """A page, after as many looks as it takes until something is found, within a limit."""
    looked_at = 0
    until = thread_time() + LOOK_CPU_SECONDS
    page = ask(span)
    while not page.rows and page.looked_at is not None and page.before is not None:
        if thread_time() > until:
            break
        looked_at += page.looked_at
        page = ask(structs.replace(span, before=page.before))
    if page.looked_at is not None:
        page = structs.replace(page, looked_at=looked_at + page.looked_at)
    return page


def item_row(reports: Reports, record: Mapping[str, Any]) -> dict[str, Any]:
    """An item as ``items --json`` gives it, with its ``id`` and that of its ``request``."""
    from scrapy.utils.serialize import ScrapyJSONEncoder

    fields = dict(record)
    item = reports.decoded_item(fields.pop("payload"))
    state = item_state(fields.pop("open"), fields["steps"])
    return {"item": json.loads(ScrapyJSONEncoder().encode(item)), **fields, "state": state}


def item_lines(reports: Reports, key: JobKey) -> Iterator[bytes]:
    """All items as JSON Lines, in portions of some hundred."""
    from scrapy.utils.serialize import ScrapyJSONEncoder

    encode = ScrapyJSONEncoder().encode
    items = reports.items(key)
    while portion := "".join(f"{encode(item)}\n" for item in islice(items, LINES_AT_ONCE)):
        yield portion.encode()


def failures(
    ask: Ask, key: JobKey, examples: int = 3, bound: int = FAILURES_LOOKED_AT
) -> list[dict[str, Any]]:
    """Failures by error, of those that were found last."""
    lost = bound if ask.reports.summary(key).counts.items_failed else 0
    return ask.pages.failures(key, examples, bound, lost)


def units(ask: Ask, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Units as ``units --json`` gives them."""
    return list(with_http_status(rows))


def timeseries(ask: Ask, key: JobKey) -> dict[str, Any]:
    """What happened in each span of time; and with which HTTP statuses requests ended, of those
    that were found last."""
    document = ask.document(key)
    now = ask.now
    minutes = past(ask.pages.minutes(key, now - LONGEST_PLOT_SECONDS), now)
    step = span_minutes(minutes, now if document["status"] in LIVE_STATUSES else None)
    spans = list(spans_of(minutes, step, end_of(document, now)))
    answered = ask.pages.answered(key, STATUSES_LOOKED_AT)
    return {
        "id": document["id"],
        "job": document["job"],
        "number": document["number"],
        "span_minutes": step,
        "spans": spans,
        "answered": [{**row, "at": iso(row["at"])} for row in answered],
        "answered_of": STATUSES_LOOKED_AT,
        "latencies": latencies_of(ask.pages.runs(key)),
    }


def steps(ask: Ask, key: JobKey, examples: int = 3) -> list[dict[str, Any]]:
    """The documents of ``steps --json``; errors are those of the items that were found last."""
    counts = ask.pages.step_counts(key)
    troubled = any(count.failed or count.parked for count in counts.values())
    failed = ask.pages.step_failures(key, examples, STEPS_LOOKED_AT) if troubled else []
    return step_documents(counts, failed)


def undelivered(ask: Ask, key: JobKey, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The feeds that a job owes, and how far each has come as far as the store knows: ``name``,
    ``items`` that are in it, of ``of``, or the changes that it is ``behind``; else ``None``."""
    if not document["undelivered"]:
        return []
    of = document["items"]["stored"]
    found = {
        name: {"name": name, "items": None, "of": of, "behind": None}
        for name in document["undelivered"]
    }
    for name, text in ask.pages.feed_notes(key):  # one for each file of a feed
        feed, record = found.get(masked_text(name)), json.loads(text)
        if feed is None:
            continue
        if "database" in record:
            feed["behind"] = record["database"]["behind"]
        else:
            feed["items"] = (feed["items"] or 0) + record.get("count", 0)
    return list(found.values())


def waiting_hosts(ask: Ask, key: JobKey) -> list[dict[str, Any]]:
    """Hosts whose circuit breaker is open, or that have asked for a pause."""
    found = []
    for row in ask.pages.host_notes(key):
        record = json.loads(row["record"])
        opened, waits = record.get("open_until", 0), record.get("wait_until", 0)
        if max(opened, waits) <= ask.now and not opened:
            continue
        found.append(
            {
                "host": row["host"],
                "breaker": bool(opened),
                "until": iso(max(opened, waits)),
                "probes": record.get("probes", 0),
                "over": max(opened, waits) <= ask.now,
            }
        )
    return sorted(found, key=itemgetter("host"))
