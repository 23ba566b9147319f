"""What tells requests with equal fingerprints apart is the same text in each process."""

from __future__ import annotations

import threading
from datetime import date
from functools import partial
from typing import Any

import pytest
from scrapy import Request, Spider

from scrapy_resume.codec import Codec


class Cities(Spider):
    name = "cities"

    def parse_city(self, response: Any, **given: Any) -> None: ...

    def parse_price(self, response: Any, **given: Any) -> None: ...

    def failed(self, failure: Any) -> None: ...


SPIDER = Cities()
CODEC = Codec(SPIDER)


def told(**given: Any) -> bytes:
    return CODEC.telling_texts(Request("http://a.test", dont_filter=True, **given))[0]


def test_nothing_tells_a_plain_request_apart() -> None:
    assert told() == b""
    meta = {"depth": 3, "retry_times": 1, "proxy": "http://p1", "redirect_urls": ["x"], "rule": 2}
    assert told(meta=meta) == b""
    assert told(meta={"resume_key": "a", "resume_every_run": True}) == b""


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"callback": SPIDER.parse_city}, {"callback": SPIDER.parse_price}),
        ({"callback": SPIDER.parse_city}, {}),
        (
            {"callback": SPIDER.parse_city},
            {"callback": SPIDER.parse_city, "errback": SPIDER.failed},
        ),
        ({"cb_kwargs": {"n": 1}}, {"cb_kwargs": {"n": 1.0}}),
        ({"cb_kwargs": {"n": 1}}, {"cb_kwargs": {"n": "1"}}),
        ({"cb_kwargs": {"n": 1}}, {"cb_kwargs": {"n": True}}),
        ({"cb_kwargs": {"n": 1}}, {"meta": {"n": 1}}),
        ({"cb_kwargs": {"n": [1, 2]}}, {"cb_kwargs": {"n": [2, 1]}}),
        ({"meta": {"cookiejar": 1}}, {"meta": {"cookiejar": 2}}),
        ({"meta": {"n": {1, 2}}}, {"meta": {"n": {1, 3}}}),
        ({"meta": {"n": date(2026, 1, 1)}}, {"meta": {"n": date(2026, 1, 2)}}),
        ({"meta": {"n": [1, threading.Lock()]}}, {"meta": {"n": [2, threading.Lock()]}}),
        ({"callback": lambda r, n=1: n}, {"callback": lambda r, n=2: n}),
        (
            {"callback": partial(SPIDER.parse_city, n=1)},
            {"callback": partial(SPIDER.parse_city, n=2)},
        ),
    ],
)
def test_what_a_request_carries_tells_it_apart(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert told(**one) != told(**two)
    assert told(**one) == told(**one)


def test_the_order_of_dicts_and_sets_does_not_matter() -> None:
    words = [f"word {n}" for n in range(50)]
    ways = []
    for order in (words, words[::-1]):
        lock = threading.Lock()
        meta = {
            "text": dict.fromkeys(order, 1),
            "numbers": {
                len(word) + n: n for n, word in sorted(enumerate(words), reverse=order is words)
            },
            "set": set(order),
            "nested": frozenset((word, frozenset(order)) for word in order),
            "unknown": dict.fromkeys(order, lock),
            "unknown set": {*order, lock},
        }
        ways.append(told(meta=dict(sorted(meta.items(), reverse=order is words))))
    assert ways[0] == ways[1]


def test_an_object_that_is_another_one_in_each_run_counts_by_its_type() -> None:
    assert told(meta={"n": threading.Lock()}) == told(meta={"n": threading.Lock()})
    assert told(meta={"n": threading.Lock()}) != told(meta={"n": threading.Event()})


def test_odd_values_have_a_text() -> None:
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]
    for value in (
        float("nan"),
        1 << 5_000,
        "\ud800",
        b"\xff",
        {"$x": 1},
        {1: 2},
        deep,
        [deep, print],
    ):
        assert told(cb_kwargs={"n": value})


def test_what_differs_is_named() -> None:
    one = {"cb_kwargs": {"city": "a", "at": 1.5}, "meta": {"depth": 0, "k": {1, 2}}}
    two = {"cb_kwargs": {"city": "a", "at": 2.5}, "meta": {"depth": 9, "k": {1, 3}, "new": 1}}
    payloads = [CODEC.encode_request(Request("http://a.test", **given)) for given in (one, two)]
    assert CODEC.differing_fields(*payloads) == ["cb_kwargs['at']", "meta['k']", "meta['new']"]
    other = CODEC.encode_request(Request("http://a.test", callback=SPIDER.parse_city))
    assert CODEC.differing_fields(payloads[0], other)[0] == "callback"
