"""Fingerprints that are remembered are those that Scrapy would work out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scrapy import FormRequest, Request
from scrapy.http import JsonRequest
from scrapy.utils.request import RequestFingerprinter, fingerprint

from scrapy_resume.frontier.fingerprints import LONGEST_URL, RecentFingerprints, fingerprints

URL = "https://shop.example/catalogue/page?b=2&a=1#top"

REQUESTS = [
    Request(URL),
    Request("https://shop.example/catalogue/page?a=1&b=2"),
    Request(URL, method="POST"),
    Request(URL, method="HEAD"),
    Request(URL, body=b"a body with GET"),
    Request(URL, body=b"another body with GET"),
    Request(URL, headers={"Accept-Language": "de"}, cookies={"a": "b"}),
    Request(URL, meta={"verbatim_url": True}),
    Request("https://shop.example/catalogue/page?a=1&b=2", meta={"verbatim_url": True}),
    FormRequest(URL, formdata={"a": "b"}),
    FormRequest(URL, method="GET", formdata={"c": "d"}),
    JsonRequest(URL, data={"a": 1}),
    Request("https://shop.example/ä/ü?q=ß"),
    Request("data:text/plain,hello"),
    Request("https://shop.example/" + "x" * LONGEST_URL),
]


def noting(asked: list[str]) -> Callable[[Request], bytes]:
    def work_out(request: Request) -> bytes:
        asked.append(request.url)
        return b"print"

    return work_out


@pytest.mark.parametrize("order", [1, -1])
def test_are_those_that_scrapy_works_out_whatever_came_before(order: int) -> None:
    remembered = fingerprints(RequestFingerprinter())
    for request in (*REQUESTS[::order], *REQUESTS[::order]):
        assert remembered(request.copy()) == fingerprint(request)


def test_a_known_link_is_not_worked_out_again() -> None:
    asked: list[str] = []
    remembered = RecentFingerprints(noting(asked))
    for _ in range(3):
        assert remembered.of(Request("https://shop.example/a")) == b"print"
        assert remembered.of(Request("https://shop.example/b")) == b"print"
    assert asked == ["https://shop.example/a", "https://shop.example/b"]


def test_no_more_than_two_generations_are_remembered() -> None:
    asked: list[str] = []
    remembered = RecentFingerprints(noting(asked), generation_size=10)
    for number in range(1_000):
        remembered.of(Request(f"https://shop.example/{number}"))
        remembered.of(Request("https://shop.example/in-every-page"))
    assert len(remembered._young) + len(remembered._old) <= 20
    assert asked.count("https://shop.example/in-every-page") == 1


def test_long_urls_are_not_remembered() -> None:
    remembered = RecentFingerprints(fingerprint)
    remembered.of(Request("https://shop.example/" + "x" * LONGEST_URL))
    assert not remembered._young


def test_of_another_fingerprinter_nothing_is_remembered() -> None:
    class ByHeader(RequestFingerprinter):
        def fingerprint(self, request: Request) -> bytes:
            return bytes(request.headers["Accept-Language"] or b"")

    remembered = fingerprints(ByHeader())
    prints = [
        remembered(Request(URL, headers={"Accept-Language": language})) for language in ("de", "en")
    ]
    assert prints == [b"de", b"en"]
