"""Groups of requests that share a value, without a crawl."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request, Spider

from scrapy_resume.codec import Codec
from scrapy_resume.frontier.row import Row
from scrapy_resume.tracking import sharing as module
from scrapy_resume.tracking.shared_objects import Planned
from scrapy_resume.tracking.sharing import Sharing


class Shop(Spider):
    name = "shop"

    def parse(self, response: Any, **kwargs: Any) -> None: ...


@pytest.fixture
def codec() -> Codec:
    return Codec(Shop())


def new_sharing(codec: Codec, run: int = 1, *, fleet: bool = False) -> Sharing:
    return Sharing(run, codec, Shop(), fleet=fleet)


def requests(value: Any, count: int) -> list[Request]:
    return [Request(f"http://a.test/{n}", cb_kwargs={"item": value}) for n in range(count)]


def parent(number: int = 99) -> Row:
    row = Row(number, b"p" * 20, recorded=True)
    row.in_engine = True
    return row


def planned(sharing: Sharing, made: list[Request], by: Row | None = None) -> list[Planned]:
    return sharing.plan(by or parent(), [SimpleNamespace(request=r) for r in made], ended=True)


def members(plans: list[Planned]) -> list[Row]:
    rows = []
    for number, plan in enumerate(plans):
        row = Row(number + 1, bytes(20), recorded=True)
        row.shared = plan.objects
        rows.append(row)
    return rows


def ids(rows: list[Row]) -> list[int]:
    return [row.id for row in rows]


def payloads(sharing: Sharing, codec: Codec, plans: list[Planned]) -> list[str]:
    by = parent()
    return [codec.encode_request(p.arrival.request, sharing.refs(p, by)) for p in plans]


def restored(sharing: Sharing, codec: Codec, payload: str, number: int = 1) -> tuple[Row, Request]:
    row = Row(number, bytes(20), recorded=True)
    row.payload = payload
    request = codec.decode_request("http://a.test/", payload)
    sharing.attach(row, request)
    return row, request


def test_members_of_an_unchanged_value_are_finished_one_by_one(codec: Codec) -> None:
    sharing = new_sharing(codec)
    rows = members(planned(sharing, requests({"a": 1}, 3)))
    assert [ids(sharing.finishing(row)) for row in rows] == [[1], [2], [3]]


def test_members_are_finished_together_once_one_has_changed_it(codec: Codec) -> None:
    sharing, item = new_sharing(codec), {"parts": [0]}
    rows = members(planned(sharing, requests(item, 4)))
    assert ids(sharing.finishing(rows[0])) == [1]
    item["parts"].append(1)
    assert [ids(sharing.finishing(row)) for row in rows[1:]] == [[], [], [2, 3, 4]]
    assert not rows[0].held


def test_what_a_member_yields_with_a_changed_value_runs_from_memory(codec: Codec) -> None:
    sharing, item = new_sharing(codec), {"parts": [0]}
    rows = members(planned(sharing, requests(item, 2)))
    item["parts"].append(1)
    (below,) = planned(sharing, requests(item, 1), rows[0])
    assert below.group is not None
    child = Row(9, bytes(20), recorded=False)
    sharing.runs_from_memory(child, below, rows[0])
    found = [ids(sharing.finishing(row)) for row in (*rows, child)]
    assert found == [[], [], [1, 2, 9]]


def test_a_change_that_is_undone_is_a_change(codec: Codec) -> None:
    """What was yielded meanwhile runs from memory, and needs its parent to be held."""
    sharing, item = new_sharing(codec), {"parts": [0]}
    rows = members(planned(sharing, requests(item, 2)))
    item["parts"].append(1)
    plans = sharing.plan(rows[0], [SimpleNamespace(request=requests(item, 1)[0])], ended=False)
    assert plans[0].group is not None
    child = Row(9, bytes(20), recorded=False)
    sharing.runs_from_memory(child, plans[0], rows[0])
    item["parts"].pop()
    found = [ids(sharing.finishing(row)) for row in (*rows, child)]
    assert found == [[], [], [1, 2, 9]]


def test_the_last_member_hands_a_changed_value_on_and_all_are_finished(codec: Codec) -> None:
    sharing, item = new_sharing(codec), {"parts": [0]}
    rows = members(planned(sharing, requests(item, 2)))
    item["parts"].append(1)
    assert sharing.finishing(rows[0]) == []
    (below,) = planned(sharing, requests(item, 1), rows[1])
    assert below.group is None
    assert ids(sharing.finishing(rows[1])) == [1, 2]


def test_a_value_of_one_request_alone_is_no_shared_one(codec: Codec) -> None:
    sharing = new_sharing(codec)
    made = [Request("http://a.test/", cb_kwargs={"item": {"a": []}}, meta={"proxy": []})]
    assert [plan.carried for plan in planned(sharing, made)] == [[]]


def test_two_changed_values_with_a_common_member_are_one_group(codec: Codec) -> None:
    sharing, one, other = new_sharing(codec), {"a": 1}, {"b": 1}
    made = [
        Request("http://a.test/1", cb_kwargs={"x": one}),
        Request("http://a.test/2", cb_kwargs={"x": one, "y": other}),
        Request("http://a.test/3", meta={"y": other}),
    ]
    rows = members(planned(sharing, made))
    one["a"] = other["b"] = 2
    found = [ids(sharing.finishing(row)) for row in rows]
    assert found == [[], [], [1, 2, 3]]


@pytest.mark.parametrize("run", [1, 2])
def test_what_comes_back_from_the_store_gets_the_object_of_the_others(
    codec: Codec, run: int
) -> None:
    """In the same run, and in a later one, in which the first one brings it."""
    sharing, item = new_sharing(codec), {"parts": [0]}
    texts = payloads(sharing, codec, planned(sharing, requests(item, 3)))
    if run == 2:
        sharing = new_sharing(codec, run)
    found = [restored(sharing, codec, text, n) for n, text in enumerate(texts)]
    shared = {id(request.cb_kwargs["item"]) for _, request in found}
    assert shared == ({id(item)} if run == 1 else {id(found[0][1].cb_kwargs["item"])})
    found[0][1].cb_kwargs["item"]["parts"].append(1)
    assert [ids(sharing.finishing(row)) for row, _ in found] == [[], [], [0, 1, 2]]


def test_values_are_put_in_their_place_whatever_is_around_it(codec: Codec) -> None:
    shared = [1]
    around = {"t": (1, shared), "d": {"x": [shared]}, "n": SimpleNamespace(of=shared)}
    sharing = new_sharing(codec)
    made = [Request("http://a.test/", meta=dict(around)), *requests(shared, 1)]
    plans = planned(sharing, made)
    text = payloads(sharing, codec, plans)[0]
    _, request = restored(sharing, codec, text)
    assert request.meta["t"][1] is shared
    assert request.meta["d"]["x"][0] is shared
    assert request.meta["n"].of is shared


def test_objects_that_only_the_store_has_are_forgotten(codec: Codec) -> None:
    """Memory does not grow with the requests that carry a value of their own."""
    sharing = new_sharing(codec)
    for _ in range(300):
        value = {"a": [1]}
        planned(sharing, requests(value, 2))
    assert len(sharing._by_name) < 10


def test_a_group_that_is_too_large_is_given_up_with_a_warning(
    codec: Codec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LARGEST_GROUP", 3)
    sharing, item = new_sharing(codec), {"parts": [0]}
    rows = members(planned(sharing, requests(item, 3)))
    item["parts"].append(1)
    (below,) = planned(sharing, requests(item, 1), rows[0])
    child = Row(9, bytes(20), recorded=False)
    sharing.runs_from_memory(child, below, rows[0])
    assert ids(sharing.finishing(rows[0])) == [1]
    assert child.anchor is rows[0]
    assert rows[0].open_below == 1
    assert "More than 3 requests share a value" in caplog.text
    assert ids(sharing.finishing(rows[1])) == [2]
    assert ids(sharing.finishing(rows[2])) == [3]
    assert ids(sharing.finishing(child)) == [9]
    assert not sharing._by_name


def test_of_a_fleet_those_that_may_change_a_value_stay_with_their_worker(codec: Codec) -> None:
    sharing = new_sharing(codec, fleet=True)
    for _ in range(module.UNCHANGED_ENOUGH // 2):
        fixed = {"a": 1}
        plans = planned(sharing, requests(fixed, 2))
        assert all(plan.from_memory for plan in plans)
        for row in members(plans):
            sharing.finishing(row)
    fixed = {"a": 1}
    assert not any(plan.from_memory for plan in planned(sharing, requests(fixed, 2)))


def test_a_part_of_a_shared_value_comes_back_as_the_one_within(codec: Codec) -> None:
    parts = [{"seen": 0}, {"seen": 0}]
    item = {"parts": parts[:], "left": 2}
    made = [
        Request(f"http://a.test/{n}", cb_kwargs={"part": part, "item": item})
        for n, part in enumerate(parts)
    ]
    sharing = new_sharing(codec)
    texts = payloads(sharing, codec, planned(sharing, made))
    for order in ([0, 1], [1, 0]):
        later = new_sharing(codec, run=2)
        back = {n: restored(later, codec, texts[n], n)[1].cb_kwargs for n in order}
        assert back[0]["item"] is back[1]["item"]
        for n in order:
            assert back[n]["part"] is back[n]["item"]["parts"][n]


def test_a_part_comes_back_as_the_one_within_whoever_carries_the_whole(codec: Codec) -> None:
    part = {"seen": 0}
    item = {"parts": [part]}
    made = [
        Request("http://a.test/part", cb_kwargs={"part": part}),
        *requests(item, 2),
    ]
    sharing = new_sharing(codec)
    texts = payloads(sharing, codec, planned(sharing, made))
    for order in ([0, 1, 2], [1, 2, 0]):
        later = new_sharing(codec, run=2)
        back = {n: restored(later, codec, texts[n], n) for n in order}
        (holder, request), (_, whole) = back[0], back[1]
        assert request.cb_kwargs["part"] is whole.cb_kwargs["item"]["parts"][0]
        request.cb_kwargs["part"]["seen"] = 1
        assert later.finishing(holder) == []  # the whole item has changed with it
        assert later.finishing(back[1][0]) == []
        assert {row.id for row in later.finishing(back[2][0])} == {0, 1, 2}


def test_what_is_within_is_that_of_the_others_when_these_have_put_another_there(
    codec: Codec,
) -> None:
    part = {"seen": 0}
    item = {"parts": [part]}
    made = [Request(f"http://a.test/{n}", cb_kwargs={"item": item, "p": part}) for n in range(2)]
    sharing = new_sharing(codec)
    texts = payloads(sharing, codec, planned(sharing, made))
    later = new_sharing(codec, run=2)
    _, first = restored(later, codec, texts[0], 0)
    first.cb_kwargs["item"]["parts"] = [{"seen": "another"}]
    _, second = restored(later, codec, texts[1], 1)
    assert second.cb_kwargs["item"]["parts"] == [{"seen": "another"}]
    assert second.cb_kwargs["p"] is first.cb_kwargs["p"]


def test_values_that_contain_one_another_are_looked_into_once(codec: Codec) -> None:
    item: dict[str, Any] = {"name": "loop"}
    item["children"] = [{"parent": item}]
    sharing = new_sharing(codec)
    plans = planned(sharing, requests(item, 2))
    assert [plan.objects for plan in plans] == [plans[0].objects] * 2
    assert len(plans[0].objects) == 1


def test_what_nobody_changes_ties_no_groups_together(codec: Codec) -> None:
    headers = {"currency": "EUR"}
    items: list[dict[str, int]] = [{"n": 0}, {"n": 0}]
    made = [
        Request(f"http://a.test/{n}", cb_kwargs={"headers": headers, "item": items[n % 2]})
        for n in range(4)
    ]
    sharing = new_sharing(codec)
    rows = members(planned(sharing, made))
    items[0]["n"] = items[1]["n"] = 1
    assert [ids(sharing.finishing(row)) for row in rows] == [[], [], [1, 3], [2, 4]]


def test_a_constant_keeps_nothing_of_the_groups_that_are_over(codec: Codec) -> None:
    headers = {"currency": "EUR"}
    sharing = new_sharing(codec)
    waiting = members(
        planned(sharing, [Request("http://a.test/w", cb_kwargs={"headers": headers})])
    )
    for _ in range(20):
        item = {"n": 0, "headers": headers}
        made = [
            Request(f"http://a.test/{n}", cb_kwargs={"headers": headers, "item": item})
            for n in range(3)
        ]
        rows = members(planned(sharing, made))
        item["n"] = 1
        for row in rows:
            sharing.finishing(row)
    (kept,) = waiting[0].shared
    assert (kept.group.objects, kept.around) == ([kept], set())
    assert list(sharing._by_name.values()) == [kept]


def test_what_the_spider_holds_is_named_and_what_is_within_it_is_not(codec: Codec) -> None:
    spider = Shop()
    part = {"n": 1}
    spider.cache = {"a": part, "b": part}  # type: ignore[attr-defined]
    sharing = Sharing(1, codec, spider, fleet=False)
    made = requests(spider.cache, 2)  # type: ignore[attr-defined]
    texts = payloads(sharing, codec, planned(sharing, made))
    assert [ref.path for ref in codec.shared_refs(texts[0])] == [("cb_kwargs", "item")]
    assert restored(sharing, codec, texts[0])[1].cb_kwargs["item"] is spider.cache  # type: ignore[attr-defined]


def test_what_is_in_a_value_of_another_class_comes_back_as_the_one_within(codec: Codec) -> None:
    item = {"n": 0}
    holder = SimpleNamespace(item=item)
    made = [
        Request(f"http://a.test/{n}", cb_kwargs={"holder": holder, "item": item}) for n in range(2)
    ]
    sharing = new_sharing(codec)
    texts = payloads(sharing, codec, planned(sharing, made))
    later = new_sharing(codec, run=2)
    _, back = restored(later, codec, texts[1])
    assert back.cb_kwargs["holder"].item is back.cb_kwargs["item"]
