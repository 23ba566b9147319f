"""Items by the states of their steps, in pages: what the whole list has, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import Page, Span, StepSelection

from .conftest import Place
from .records import BOOKS
from .test_pages import all_pages
from .test_step_steering import DONE, FAILED, PARKED, SKIPPED, ended
from .test_steps import item, lease, page

WAITING = StepState.waiting


def pages_of(place: Place, steps: StepSelection, span: Span) -> Iterator[Page]:
    return all_pages(partial(place.reader.stepped_page, BOOKS, steps), span)


def keys(pages: Iterator[Page]) -> list[str]:
    return [row["key"] for page in pages for row in page.rows]


def mixed(place: Place) -> Any:
    """21 items: the vin of each three is done, failed, parked, skipped, delayed, running, pending;
    the scale of all waits for it."""
    run = place.begin()
    for at in range(7):
        given = [
            item(n, f'{{"n":{n}}}', "vin", key=f"k{at}{n}", waiting=("scale",)) for n in range(3)
        ]
        page(run, at + 1, *given)
    for state in (DONE, FAILED, PARKED, SKIPPED):
        for _ in range(3):
            ended(run, "vin", state, error="OSError", message="refused")
    for _ in range(3):
        ended(run, "vin", StepState.pending, not_before=9e9, error="OSError")
    lease(run, "vin", count=3)
    return run


SEVERAL = (
    (), *((state,) for state in StepState), (FAILED, PARKED), (StepState.pending, WAITING),
    (FAILED, StepState.running, StepState.pending, DONE), (SKIPPED, StepState.pending, WAITING),
)  # fmt: skip


def test_pages_of_any_states_have_what_the_whole_list_has(place: Place) -> None:
    mixed(place)
    with place.reader.together():
        for states in SEVERAL:
            for name in ("vin", "scale") if WAITING in states else ("vin",):
                steps = StepSelection(name=name, states=states)
                whole = [row["key"] for row in place.reader.stepped_items(BOOKS, steps)][::-1]
                for span in (Span(limit=50), Span(limit=4, bound=6)):
                    assert keys(pages_of(place, steps, span)) == whole, (states, name, span)


def test_items_are_found_by_key_and_by_the_field_that_they_lack(place: Place) -> None:
    mixed(place)
    found = StepSelection(name="vin", keys=("k11", "k00", "nobody"))
    assert keys(pages_of(place, found, Span(limit=1))) == ["k11", "k00"]
    failed = StepSelection(name="vin", states=(FAILED,), keys=("k11", "k00"))
    assert keys(pages_of(place, failed, Span())) == ["k11"]
    assert keys(pages_of(place, StepSelection(name="nobody"), Span())) == []


def test_a_page_looks_at_no_more_items_than_it_is_told_and_says_so(place: Place) -> None:
    mixed(place)
    steps = StepSelection(name="vin", states=(DONE,))
    first, second, third = pages_of(place, steps, Span(bound=10))
    assert (first.rows, first.looked_at) == ([], 10)
    assert (len(second.rows), second.looked_at) == (2, 10)
    assert (len(third.rows), third.looked_at) == (1, None)
    # What an index finds is not looked for.
    failed = StepSelection(name="vin", states=(FAILED,))
    assert [page.looked_at for page in pages_of(place, failed, Span(bound=10))] == [None]


def test_one_item_has_its_steps_whether_it_is_visible_or_not(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, '{"n":0}', "vin", key="a"), item(1, '{"n":1}', "vin", key="b"))
    ended(run, "vin", DONE, '{"n":0,"vin":1}')
    second, first = place.reader.stepped_page(BOOKS, StepSelection(), Span()).rows
    assert (first["payload"], first["steps"][0]["state"]) == ('{"n":0,"vin":1}', "done")
    visible = place.reader.item(BOOKS, first["visible"])
    assert visible is not None
    assert visible["key"] == first["key"]
    assert (second["payload"], second["visible"], second["open"]) == ('{"n":1}', None, 1)
    assert place.reader.stepped_item(BOOKS, second["id"]) == second
    assert place.reader.stepped_item(BOOKS, 99) is None
    assert place.reader.stepped_of(BOOKS, first["request"], 9) == [first, second]
    assert place.reader.stepped_of(BOOKS, first["request"], 1) == [first]
    assert place.reader.stepped_of(BOOKS, 99, 9) == []


def test_a_job_without_steps_has_no_such_pages(place: Place) -> None:
    page(place.begin(), 1)
    assert place.reader.stepped_page(BOOKS, StepSelection(), Span()) == Page(rows=[])
    assert place.reader.stepped_item(BOOKS, 1) is None
    assert place.reader.stepped_of(BOOKS, 1, 5) == []
