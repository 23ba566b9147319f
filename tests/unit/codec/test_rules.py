"""Rules of a ``CrawlSpider`` are known by what they are, not by their place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from scrapy import Request
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

from scrapy_resume.codec import Codec
from scrapy_resume.engine.crawl_rules import rules_of
from scrapy_resume.errors import CallbackMissingError
from tests.support.site import REPO

URL = "http://site/1"

CATALOGUE = Rule(LinkExtractor(allow=r"/list/"))
BOOKS = Rule(LinkExtractor(allow=r"/book/", tags={"a", "area"}), "parse_book", follow=True)
AUTHORS = Rule(LinkExtractor(restrict_css=".author"), "parse_author", {"full": True})
OTHER_AUTHORS = Rule(LinkExtractor(restrict_css=".author"), "parse_author", {"full": False})


def parse_function(response: Any) -> None:
    """A callback outside of the class."""


class Books(CrawlSpider):
    name = "books"

    def parse_book(self, response: Any) -> None:
        pass

    def parse_product(self, response: Any) -> None:
        pass

    def parse_author(self, response: Any, full: bool) -> None:
        pass

    def parse_own(self, response: Any) -> None:
        pass

    def errback_own(self, failure: Any) -> None:
        pass


def spider_with(*rules: Rule) -> Books:
    kind = type("Books", (Books,), {"rules": rules, "__module__": __name__})
    spider: Books = kind()
    return spider


def codec_of(spider: Books, **settings: Any) -> Codec:
    return Codec(spider, rules=rules_of(spider), **settings)


def stored(before: Sequence[Rule], place: int) -> str:
    spider = spider_with(*before)
    (request,) = [spider._build_request(place, type("Link", (), {"url": URL, "text": "x"})())]
    return codec_of(spider).encode_request(request)


def place_in(after: Sequence[Rule], payload: str, **settings: Any) -> int:
    spider = spider_with(*after)
    request = codec_of(spider, **settings).decode_request(URL, payload)
    assert request.callback == spider._callback
    assert request.errback == spider._errback
    place: int = request.meta["rule"]
    return place


THREE = (CATALOGUE, BOOKS, AUTHORS)


@pytest.mark.parametrize(
    ("after", "places"),
    [
        (THREE, (0, 1, 2)),
        ((AUTHORS, CATALOGUE, BOOKS), (1, 2, 0)),
        ((OTHER_AUTHORS, *THREE), (1, 2, 3)),
        ((CATALOGUE, CATALOGUE, BOOKS, BOOKS, AUTHORS), (0, 2, 4)),
    ],
)
def test_a_rule_is_found_wherever_it_is_now(after: Sequence[Rule], places: Sequence[int]) -> None:
    assert tuple(place_in(after, stored(THREE, n)) for n in range(3)) == places


def test_a_rule_is_found_when_it_was_edited() -> None:
    wider = Rule(LinkExtractor(allow=r"/books?/"), "parse_book", follow=True)
    no_longer_followed = Rule(BOOKS.link_extractor, "parse_book", follow=False)
    both = Rule(LinkExtractor(allow=r"/books?/"), "parse_book", {"a": 1})
    for edited in (wider, no_longer_followed, both):
        assert place_in((AUTHORS, edited), stored(THREE, 1)) == 1
    assert place_in((OTHER_AUTHORS, AUTHORS), stored(THREE, 2)) == 1
    assert place_in((BOOKS, Rule(LinkExtractor(allow="/all/"))), stored(THREE, 0)) == 1


def test_a_rule_that_is_gone_is_missing_by_the_name_of_its_callback() -> None:
    with pytest.raises(
        CallbackMissingError, match="Rule with the callback 'parse_book'"
    ) as missing:
        place_in((CATALOGUE, AUTHORS), stored(THREE, 1))
    assert (missing.value.name, missing.value.park) == ("parse_book", True)
    with pytest.raises(CallbackMissingError, match="Rule without a callback"):
        place_in((BOOKS, AUTHORS), stored(THREE, 0))
    two = (BOOKS, Rule(LinkExtractor(allow="/x/"), "parse_book", {"a": 1}))
    changed = [Rule(LinkExtractor(allow=f"/{n}/"), "parse_book", {"a": n}) for n in (2, 3)]
    with pytest.raises(CallbackMissingError):
        place_in(changed, stored(two, 1))


def test_a_rule_whose_callback_was_renamed_is_found_by_the_setting() -> None:
    renamed = Rule(BOOKS.link_extractor, "parse_product", follow=True)
    gone = stored((CATALOGUE, BOOKS), 1).replace("parse_book", "parse_old")
    with pytest.raises(CallbackMissingError, match=r"'parse_old'.* does not have any more"):
        place_in((renamed, CATALOGUE), gone)
    names = {"parse_old": "parse_product"}
    assert place_in((renamed, CATALOGUE), gone, renamed=names) == 0


def test_rules_with_functions_and_lambdas_are_told_apart() -> None:
    functions = Rule(LinkExtractor(allow="/f/"), parse_function)
    lambdas = [
        Rule(
            LinkExtractor(allow=f"/{n}/"), lambda response: None, process_links=lambda links: links
        )
        for n in range(2)
    ]
    rules = (*lambdas, functions)
    assert [place_in(rules[::-1], stored(rules, n)) for n in range(3)] == [2, 1, 0]
    with pytest.raises(CallbackMissingError):
        place_in(rules[1:], stored(rules, 0))


def test_the_callback_of_a_rule_is_that_of_its_requests_in_the_store() -> None:
    assert json.loads(stored(THREE, 1))["callback"] == "parse_book"
    assert json.loads(stored(THREE, 0))["callback"] == "_callback"


def test_meta_that_is_passed_on_has_the_place_that_the_rule_has_now() -> None:
    before = spider_with(*THREE)
    mine = Request(URL, before.parse_own, meta={"rule": 1, "a": 1})
    payload = codec_of(before).encode_request(mine)
    after = spider_with(BOOKS, CATALOGUE)
    request = codec_of(after).decode_request(URL, payload)
    assert (request.callback, request.meta) == (after.parse_own, {"rule": 0, "a": 1})
    without = spider_with(CATALOGUE)
    assert codec_of(without).decode_request(URL, payload).meta == {"rule": 1, "a": 1}
    errback = Request(URL, before.parse_own, errback=before._errback, meta={"rule": 1})
    held = codec_of(before).encode_request(errback)
    with pytest.raises(CallbackMissingError):
        codec_of(without).decode_request(URL, held)


def test_rules_that_a_spider_changes_while_it_runs_are_seen() -> None:
    spider = spider_with(BOOKS)
    codec = codec_of(spider)
    payload = codec.encode_request(Request(URL, spider._callback, meta={"rule": 0}))
    spider.rules = (CATALOGUE, BOOKS)
    spider._compile_rules()
    assert codec.decode_request(URL, payload).meta["rule"] == 1


@pytest.mark.parametrize("meta", [{}, {"rule": 7}, {"rule": "x"}, {"rule": True}, {"rule": -1}])
def test_a_request_without_a_rule_stays_as_it_is(meta: dict[str, Any]) -> None:
    spider = spider_with(BOOKS)
    codec = codec_of(spider)
    payload = codec.encode_request(Request(URL, spider._callback, meta=meta))
    request = codec.decode_request(URL, payload)
    assert (request.callback, request.meta) == (spider._callback, meta)


class Counting(LinkExtractor):
    """An extractor of a user, which keeps what it has seen, and refers to much."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[str] = []
        self.everything = sys.modules

    __hash__ = None  # type: ignore[assignment]


PROCESS = """
from tests.unit.codec.test_rules import *

rules = (
    Rule(LinkExtractor(allow=["/b/", "/c/"], deny_domains=["x", "y", "z"]), "parse_book"),
    Rule(LinkExtractor(tags=["a", "area", "b"], process_value=lambda value: value.strip()), None),
    Rule(LinkExtractor(restrict_xpaths="//p"), "parse_author", {"b": {"x", "y", "z"}, "a": 1}),
    Rule(Counting(allow="/counted/"), "parse_book", errback="errback_own"),
)
print([stored(rules, place) for place in range(len(rules))])
"""


def test_a_rule_is_known_by_the_same_text_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", PROCESS],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(seed),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            cwd=REPO,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(texts) == 1


def test_what_an_extractor_keeps_while_it_works_does_not_count() -> None:
    extractor = Counting(allow="/counted/")
    rules = (Rule(extractor, lambda response: None), BOOKS)
    payload = stored(rules, 0)
    spider = spider_with(*rules)
    codec = codec_of(spider)
    extractor.seen.append(URL)
    assert codec.decode_request(URL, payload).meta["rule"] == 0
