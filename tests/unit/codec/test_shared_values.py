"""Which values of a request others may hold too, and where they are in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import pytest
from scrapy import Field, Item, Request

from scrapy_resume.codec.shared_values import (
    SharedRef,
    may_share,
    put_at,
    refs_of,
    shared_values,
    value_at,
)
from scrapy_resume.errors import StoreDamagedError

URL = "http://a.test/"


class Book(Item):
    tags = Field()


@dataclass
class Paper:
    tags: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("tags",)


def slotted(tags: list[str]) -> Slotted:
    made = Slotted()
    made.tags = tags
    return made


def parse(response: Any) -> None: ...


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cb_kwargs": {"a": 1, "b": "x", "c": None, "d": (1, ("y", date.today())), "e": 1.5}},
        {"meta": {"depth": 2, "handle_httpstatus_list": [404], "redirect_urls": ["x"]}},
        {"callback": lambda response: None},
        {"callback": partial(parse, 1)},
    ],
)
def test_what_cannot_change_is_not_shared(given: dict[str, Any]) -> None:
    assert not may_share(Request(URL, **given))


@pytest.mark.parametrize(
    "given",
    [
        {"cb_kwargs": {"item": {}}},
        {"cb_kwargs": {"pair": (1, [])}},
        {"meta": {"item": Book()}},
        {"meta": {"paper": Paper()}},
        {"callback": lambda response, item=[]: None},
        {"errback": partial(parse, {})},
    ],
)
def test_what_can_change_may_be_shared(given: dict[str, Any]) -> None:
    assert may_share(Request(URL, **given))


@pytest.mark.parametrize("field_name", ["cb_kwargs", "meta"])
def test_a_value_is_found_where_it_is_and_put_there(field_name: str) -> None:
    shared: list[str] = ["x"]
    carried: dict[str, Any] = {
        "plain": shared,
        "book": Book(tags=shared),
        "paper": Paper(shared),
        "slotted": slotted(shared),
        "tuple": ("a", ("b", shared)),
        "deep": {"list": [0, {1: shared}]},
        "own": ["y"],
    }
    request = Request(URL, **{field_name: carried})
    del carried
    found = dict(shared_values(request))
    paths = {
        (field_name, "plain"),
        (field_name, "book", "tags"),
        (field_name, "paper", "tags"),
        (field_name, "slotted", "tags"),
        (field_name, "tuple", 1, 1),
        (field_name, "deep", "list", 1, 1),
    }
    assert {path for path, value in found.items() if value is shared} == paths
    assert (field_name, "own") not in found
    other = ["z"]
    for path in paths:
        put_at(request, path, other)
        assert value_at(request, path) is other


def test_values_that_a_closure_brings_are_shared_ones() -> None:
    item: dict[str, Any] = {}
    request = Request(URL, callback=lambda response: parse(item))
    assert shared_values(request) == [((), item)]


def test_a_payload_that_speaks_of_shared_things_is_no_reference() -> None:
    assert refs_of('{"cb_kwargs":{"text":"\\"shared\\":[["}}') == []
    assert refs_of('{"cb_kwargs":{"shared":[["a",1]]}}') == []
    read = refs_of('{"shared":[[["meta","item",0],"3.7",4]]}')
    assert read == [SharedRef(("meta", "item", 0), "3.7", 4)]


def test_references_of_an_unknown_form_are_a_damaged_store() -> None:
    with pytest.raises(StoreDamagedError):
        refs_of('{"shared":[[1]]}')
