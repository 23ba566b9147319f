"""Answers in pages: by a key, at the same cost however many rows there are before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from scrapy_resume.codec import Codec
from scrapy_resume.model import Kind, Phase, Selection, State, UnitState
from scrapy_resume.store.contract import HostNote, Page, Span

from .conftest import Place
from .records import BOOKS, admission, finish


def pages_of(place: Place, selection: Selection, span: Span) -> Iterator[Page]:
    """One after the other, to the last one."""
    return all_pages(partial(place.reader.request_page, BOOKS, selection), span)


def all_pages(ask: Callable[[Span], Page], span: Span) -> Iterator[Page]:
    """What a reader answers to a span, and to those that follow it."""
    before = span.before
    while True:
        page = ask(Span(before=before, limit=span.limit, bound=span.bound))
        yield page
        if page.before is None:
            return
        before = page.before


def names(pages: Iterator[Page]) -> list[str]:
    return [row["url"].rpartition("/")[2] for page in pages for row in page.rows]


def mixed(place: Place) -> Any:
    """30 requests: of each ten 4 done, 2 failed, 1 ignored, 1 leased, 2 pending."""
    run = place.begin()
    rows = [admission(at, lease=at % 10 < 8, unit=f"unit {at % 4}") for at in range(1, 31)]
    run.admit(*rows)
    for row in rows:
        last = row.id % 10
        if last < 4:
            run.finish(finish(row.id, [json.dumps({"page": row.id})], http_status=200))
        elif last < 6:
            run.finish(finish(row.id, state=State.failed, error="TimeoutError"))
        elif last == 6:
            run.finish(finish(row.id, state=State.ignored, http_status=404))
    return run


def test_pages_of_any_size_have_each_request_once_the_newest_first(place: Place) -> None:
    mixed(place)
    wanted = [str(at) for at in range(30, 0, -1)]
    for limit in (1, 7, 30, 31):
        assert names(pages_of(place, Selection(), Span(limit=limit))) == wanted


def test_pages_of_some_states_have_what_is_selected(place: Place) -> None:
    mixed(place)
    for states in (
        (State.failed,), (State.pending,), (State.leased,), (State.done,), (State.ignored,),
        (State.failed, State.pending), (State.pending, State.leased, State.done, State.failed),
    ):  # fmt: skip
        selection = Selection(states=states)
        wanted = [row["url"].rpartition("/")[2] for row in place.reader.requests(BOOKS, selection)]
        for span in (Span(limit=3), Span(limit=50), Span(limit=2, bound=4)):
            found = names(pages_of(place, selection, span))
            if span.bound == 4 and State.pending in states:
                # Of more pending ones than are looked at, some are shown.
                assert set(found) <= set(wanted)
            else:
                assert found == wanted[::-1], (states, span)


def test_a_page_looks_at_no_more_rows_than_it_is_told_and_says_so(place: Place) -> None:
    mixed(place)
    page = place.reader.request_page(BOOKS, Selection(url="*/nothing"), Span(bound=10))
    assert (page.rows, page.looked_at, page.before) == ([], 10, 21)
    pages = list(pages_of(place, Selection(url="*/2"), Span(bound=10)))
    assert names(iter(pages)) == ["2"]
    assert [page.looked_at for page in pages] == [10, 10, 10, None]


def test_rows_can_be_named_by_their_ids(place: Place) -> None:
    mixed(place)
    selection = Selection(ids=(4, 5, 99, 12))
    assert names(pages_of(place, selection, Span(limit=2))) == ["12", "5", "4"]
    assert (
        place.store.steer(
            BOOKS, Selection((State.failed,), ids=(4, 12)), State.pending, dry_run=True
        )
        == 1
    )


def test_rows_that_are_named_are_steered_and_no_others(place: Place) -> None:
    mixed(place).close()
    assert place.store.steer(BOOKS, Selection((State.failed,), ids=(4, 14, 1)), State.pending) == 2
    assert place.states()["4"] == "pending"
    assert place.states()["5"] == "failed"
    assert place.states()["1"] == "done"


def test_more_pending_requests_than_are_looked_at_are_said(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(at) for at in range(1, 21)))
    pages = list(pages_of(place, Selection((State.pending,)), Span(limit=50, bound=5)))
    assert 5 <= len(names(iter(pages))) <= 20
    assert pages[0].looked_at == 5


def test_only_what_an_engine_holds_is_in_hand(place: Place) -> None:
    run = mixed(place)
    run.job.mark(7, Phase.sent)
    run.commit()
    page = place.reader.request_page(BOOKS, Selection((State.leased,)), Span())
    held = {row["id"]: row["worker"] for row in page.rows}
    assert held == {27: None, 17: None, 7: "host:1"}
    assert place.reader.request(BOOKS, 7)["worker"] == "host:1"


def test_one_request_is_found_with_what_led_to_it(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(admission(2, parent=1, depth=1, lease=True), admission(3, parent=-1, lease=True))
    row = place.reader.request(BOOKS, 2)
    assert (row["id"], row["parent"], row["depth"], row["state"]) == (2, 1, 1, "leased")
    assert place.reader.request(BOOKS, 1)["parent"] == 0
    assert place.reader.request(BOOKS, 3)["parent"] is None
    assert place.reader.request(BOOKS, 99) is None


def items(place: Place, selection: Selection, span: Span, text: str | None = None) -> list[int]:
    found, before = [], span.before
    while True:
        part = Span(before=before, limit=span.limit, bound=span.bound)
        page = place.reader.item_page(BOOKS, selection, part, text)
        found += [json.loads(row["payload"])["page"] for row in page.rows]
        if page.before is None:
            return found
        before = page.before


def test_items_are_found_in_pages_by_their_text_and_their_requests(place: Place) -> None:
    mixed(place)
    wanted = [30, 23, 22, 21, 20, 13, 12, 11, 10, 3, 2, 1]
    for span in (Span(limit=1), Span(limit=5), Span(), Span(limit=5, bound=2)):
        assert sorted(items(place, Selection(), span), reverse=True) == wanted
        assert sorted(items(place, Selection(), span, '"PAGE":')) == []
        assert sorted(items(place, Selection(), span, "PAGE")) == wanted[::-1]
        assert sorted(items(place, Selection(url="*/2?"), span)) == [20, 21, 22, 23]
        assert sorted(items(place, Selection(unit="unit 1"), span)) == [1, 13, 21]
        assert sorted(items(place, Selection(missing="page"), span)) == []
        assert sorted(items(place, Selection(missing="price"), span)) == wanted[::-1]


def test_text_is_found_as_the_codec_writes_it(place: Place) -> None:
    run = place.begin()
    texts = ['say "cheese"', "back\\slash", "tab\there", "Größe", "100%_a'b", "名"]
    for at, text in enumerate(texts, 1):
        run.admit(admission(at, lease=True))
        run.finish(finish(at, [Codec().encode_item({"page": at, "text": text})]))
    for at, text in enumerate(texts, 1):
        assert items(place, Selection(), Span(), text) == [at]


def test_an_item_is_found_by_its_id_and_those_of_a_request(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, ['{"a":1}', '{"a":2}']), finish(2, ['{"a":3}']))
    found = place.reader.items_of(BOOKS, 1, 10)
    assert [row["payload"] for row in found] == ['{"a":1}', '{"a":2}']
    assert [row["request"] for row in found] == [1, 1]
    assert place.reader.items_of(BOOKS, 1, 1) == found[:1]
    assert place.reader.item(BOOKS, found[1]["id"]) == found[1]
    assert place.reader.item(BOOKS, 10**9) is None


def test_items_of_start_are_no_requests_and_are_listed(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, kind=Kind.start_item, lease=True))
    run.finish(finish(1, ['{"page":0}']))
    page = place.reader.item_page(BOOKS, Selection(), Span())
    assert [json.loads(row["payload"]) for row in page.rows] == [{"page": 0}]
    assert place.reader.request_page(BOOKS, Selection(), Span()).rows == []


def test_units_are_paged_by_state_and_as_they_were_found(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(at, unit=f"u{at}", lease=at < 7) for at in range(1, 11)))
    run.finish(*(finish(at) for at in (1, 2, 3)))
    run.finish(finish(4, state=State.failed, error="TimeoutError"))
    wanted = [row["unit"] for row in place.reader.units(BOOKS)]
    for limit in (1, 3, 10, 11):
        found: list[str] = []
        after = None
        while True:
            page = place.reader.unit_page(BOOKS, (), after, limit)
            found += [row["unit"] for row in page.rows]
            assert len(page.rows) <= limit
            if page.after is None:
                break
            after = page.after
        assert found == wanted
    done = place.reader.unit_page(BOOKS, (UnitState.completed,), None, 50)
    assert [row["unit"] for row in done.rows] == ["u1", "u2", "u3"]


def test_hosts_that_wait_are_told(place: Place) -> None:
    run = place.begin()
    run.commit(hosts=[HostNote("shop.example", '{"open_until": 5}')])
    (host,) = place.reader.host_notes(BOOKS)
    assert host["host"] == "shop.example"
    assert json.loads(host["record"])["open_until"] == 5


def test_ends_are_counted_by_minute_and_http_status(place: Place) -> None:
    mixed(place)
    counts: dict[int, int] = {}
    for row in place.reader.answered(BOOKS, 100):
        assert row["at"] % 60 == 0
        counts[row["http_status"]] = counts.get(row["http_status"], 0) + row["count"]
    assert counts == {200: 12, 404: 3}
    assert sum(row["count"] for row in place.reader.answered(BOOKS, 10)) < 12


def test_a_stamp_differs_when_its_job_has_changed(place: Place) -> None:
    assert place.reader.stamps() == {}
    run = mixed(place)
    before = place.reader.stamps()[BOOKS]
    assert place.reader.stamps()[BOOKS] == before
    run.admit(admission(99))
    between = place.reader.stamps()[BOOKS]
    assert between != before
    run.close()
    assert place.reader.stamps()[BOOKS] != between
