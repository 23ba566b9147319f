"""Pages of rows, put together from what several indexes have found. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Selection, State, UnitState
from scrapy_resume.store.contract import Page, Span, UnitPage, UnitPlace

NEWEST: Final = 2**63 - 1
"""Above all ids: ``Span.before`` of the first page."""

INDEXED: Final = (State.pending, State.leased, State.failed, State.parked)
"""States whose requests both backends find without looking at others."""


class Part(NamedTuple):
    """Requests that one index, or the table itself, finds."""

    states: tuple[State, ...]
    """Empty: of any state."""
    found_by: State | None
    """The state whose index finds them; ``None``: all rows are looked at."""


def parts_of(selection: Selection) -> list[Part]:
    """What has to be asked for the requests of a selection that names no rows."""
    states = tuple(dict.fromkeys(selection.states))
    found = [Part((state,), state) for state in INDEXED if state in states]
    rest = tuple(state for state in states if state not in INDEXED)
    if rest or not states:
        found.append(Part(rest, None))
    return found


def page_of(rows: Sequence[Mapping[str, Any]], span: Span, floor: int | None) -> Page:
    """A page out of the first ``limit + 1`` rows. ``floor``: no row below this id was looked at;
    ``None``: all were."""
    found = [dict(row) for row in rows[: span.limit]]
    if len(rows) > span.limit:
        return Page(rows=found, before=found[-1]["id"])
    if floor is None:
        return Page(rows=found)
    return Page(rows=found, before=floor, looked_at=span.bound)


def merged(pages: Sequence[Page], limit: int) -> Page:
    """One page out of those of several indexes.

    Where one of them has not been read to its end, only what is above that is shown: what is below
    comes with the next page.
    """
    if len(pages) == 1:
        return pages[0]
    horizon = max((page.before for page in pages if page.before is not None), default=None)
    found = [row for page in pages for row in page.rows if horizon is None or row["id"] >= horizon]
    rows = sorted(found, key=itemgetter("id"), reverse=True)
    if len(rows) > limit:
        return Page(rows=rows[:limit], before=rows[limit - 1]["id"])
    looked_at = max((page.looked_at for page in pages if page.looked_at is not None), default=None)
    return Page(rows=rows, before=horizon, looked_at=looked_at)


def in_hand_of(rows: Iterable[dict[str, Any]], marks: Collection[int]) -> list[dict[str, Any]]:
    """Requests with their ``id``; ``worker`` and ``leased_at`` are those of requests that an engine
    holds (``marks``)."""
    return [
        row if row["id"] in marks else {**row, "worker": None, "leased_at": None} for row in rows
    ]


def unit_page_of(
    find: Callable[[UnitState, int, int], list[dict[str, Any]]],
    states: Sequence[UnitState],
    after: UnitPlace | None,
    limit: int,
) -> UnitPage:
    """A page of units, state by state. ``find`` returns the first so many units of a state after
    one of them."""
    rows: list[dict[str, Any]] = []
    place: UnitPlace | None = None
    for state in sorted(states or UnitState):
        if after is not None and state < after.state:
            continue
        began = after.unit if after is not None and state == after.state else 0
        for row in find(state, began, limit + 1 - len(rows)):
            if len(rows) == limit:
                return UnitPage(rows=rows, after=place)
            rows.append(row)
            place = UnitPlace(state, abs(row["id"]))
    return UnitPage(rows=rows)


def text_in_json(text: str) -> str:
    """A text as the codec writes it within a string, in lower case as far as it is ASCII."""
    import json

    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    return "".join(char.lower() if char.isascii() else char for char in inside)
