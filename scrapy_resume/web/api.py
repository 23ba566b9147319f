"""The JSON API: the documents of ``--json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from scrapy_resume.model import UnitState
from scrapy_resume.reporting.documents import unit_state_of
from scrapy_resume.store.contract import Page, Span, UnitPlace
from scrapy_resume.web import documents
from scrapy_resume.web.answers import Answer
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.event_tail import last_events
from scrapy_resume.web.query import (
    FILTERS_OF_ROWS,
    QueryError,
    count_of,
    query_text,
    refuse_unknown,
    row_of,
)

ROWS: Final = 100
"""Of a document that is asked for without ``limit``."""
LOOKED_AT: Final = "X-Scrapy-Resume-Looked-At"
"""The header of a page that is not full: so many rows were looked at, and there are more."""


def jobs(ask: Ask) -> Answer:
    """``list --json``."""
    return answer_of(documents.all_jobs(ask))


def job(ask: Ask) -> Answer:
    """``status --json``."""
    return answer_of(ask.document(ask.key()))


def requests(ask: Ask) -> Answer:
    """``requests --json``, a page of it, the newest first."""
    key = ask.key()
    _, chosen = documents.chosen_requests(ask)
    page = documents.request_page(ask, key, chosen, _span(ask))
    return _paged(ask, page.rows, page)


def failed(ask: Ask) -> Answer:
    """``failed --json``."""
    return answer_of(documents.failures(ask, ask.key(), count_of(ask.query, "examples", 3, 50)))


def units(ask: Ask) -> Answer:
    """``units --json``, a page of it."""
    states = tuple(unit_state_of(name) for name in ask.query.getlist("state"))
    limit = count_of(ask.query, "limit", ROWS)
    page = ask.pages.unit_page(ask.key(), states, unit_place(ask), limit)
    following = None if page.after is None else f"{page.after.state.name}.{page.after.unit}"
    return answer_of(documents.units(ask, page.rows), _following(ask, "after", following))


def unit_place(ask: Ask) -> UnitPlace | None:
    """Where a page of units begins, as the query says."""
    given = ask.query.get("after")
    if not given:
        return None
    state, _, unit = given.partition(".")
    if state not in UnitState.__members__ or not unit.isdecimal() or len(unit) > 18:
        raise QueryError("after is not what a page has given")
    return UnitPlace(UnitState[state], int(unit))


def steps(ask: Ask) -> Answer:
    """``steps --json``."""
    return answer_of(documents.steps(ask, ask.key()))


def items(ask: Ask) -> Answer:
    """``items --json``, a page of it, the newest first."""
    key = ask.key()
    _, chosen = documents.chosen_requests(ask)
    text = ask.query.get("q") or None
    page = documents.looked(lambda span: ask.pages.item_page(key, chosen, span, text), _span(ask))
    rows = [documents.item_row(ask.reports, row) for row in page.rows]
    return _paged(ask, rows, page)


def workers(ask: Ask) -> Answer:
    """``workers --json``."""
    return answer_of(ask.reports.workers(ask.key()))


def events(ask: Ask) -> Answer:
    """``log --json``, its last events."""
    types = [one for text in ask.query.getlist("type") for one in text.split(",") if one]
    found = last_events(ask.board.events, ask.key(), count_of(ask.query, "limit", 200), types)
    return answer_of(found[::-1])


def timeseries(ask: Ask) -> Answer:
    """What the plots show."""
    return answer_of(documents.timeseries(ask, ask.key()))


def checked(ask: Callable[[Ask], Answer], names: Collection[str]) -> Callable[[Ask], Answer]:
    """The question, for queries of these names alone."""

    def answer(asked: Ask) -> Answer:
        refuse_unknown(asked.query, names)
        return ask(asked)

    return answer


_ROWS: Final = (*FILTERS_OF_ROWS, "before", "limit")

QUESTIONS: Final[Mapping[str, Callable[[Ask], Answer]]] = {
    "requests": checked(requests, _ROWS),
    "failed": checked(failed, ("examples",)),
    "units": checked(units, ("state", "after", "limit")),
    "steps": checked(steps, ()),
    "items": checked(items, (*_ROWS, "q")),
    "workers": checked(workers, ()),
    "events": checked(events, ("type", "limit")),
    "timeseries": checked(timeseries, ()),
}
"""What can be asked of a job, by its last part of the path."""


def answer_of(
    document: Any, headers: tuple[tuple[str, str], ...] = (), status: int = 200
) -> Answer:
    """A JSON document, in ASCII."""
    body = json.dumps(document, default=str).replace("\x7f", "\\u007f").encode()
    return Answer(body, "application/json", status, headers)


def _span(ask: Ask) -> Span:
    return Span(
        before=row_of(ask.query, "before"),
        limit=count_of(ask.query, "limit", ROWS),
        bound=documents.LOOKED_AT,
    )


def _paged(ask: Ask, rows: list[dict[str, Any]], page: Page) -> Answer:
    headers = _following(ask, "before", page.before)
    if page.looked_at is not None:
        headers += ((LOOKED_AT, str(page.looked_at)),)
    return answer_of(rows, headers)


def _following(ask: Ask, name: str, value: object) -> tuple[tuple[str, str], ...]:
    """The header that leads to the next page; none on the last."""
    if value is None:
        return ()
    query: dict[str, Any] = {one: ask.query.getlist(one) for one in ask.query}
    return (("Link", f'<{query_text({**query, name: value})}>; rel="next"'),)
