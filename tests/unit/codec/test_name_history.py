"""By which names a request may be known, since the code of its job has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scrapy import Request, Spider

from scrapy_resume.codec import Codec
from scrapy_resume.codec.name_history import (
    MOST_NAMES,
    MOST_TRIED,
    MOST_VERSIONS,
    NameHistory,
    OtherNames,
)


def after(*versions: str, renames: dict[str, str] | None = None) -> OtherNames:
    """The names of a code that had these versions, each of words; the last one is the present."""
    record = None
    for version in versions:
        history = NameHistory(version.split())
        history.recall(record)
        record = json.loads(json.dumps(history.record()))
    return OtherNames(renames or {}, history)


def test_a_name_may_be_any_that_is_gone_and_was_never_beside_it() -> None:
    names = after("list page", "list product")
    assert names.of("product") == ["product", "page"]
    assert names.of("list") == ["list"]
    assert not after("list page").any


def test_a_name_that_is_put_back_may_be_what_stood_for_it_meanwhile() -> None:
    assert after("a", "b", "a").of("a") == ["a", "b"]
    assert after("a", "b", "c").of("c") == ["c", "b", "a"]


def test_what_the_setting_maps_is_known_by_its_first_name_and_by_all_others() -> None:
    names = after("a x", "b x", "c y", renames={"a": "c", "b": "c"})
    assert names.of("c") == ["a", "b", "c", "x"]
    assert names.of("y") == ["y", "x"]


VERSIONS = ("city page odd failed", "city1 page1 odd failed", "city2 page2 odd2 failed2")
"""Each renames some of a callback, two others and an errback."""


@pytest.mark.parametrize("stored", [("city", "failed"), ("city1", "failed"), ("odd", "failed")])
def test_names_that_were_renamed_together_are_tried_before_any_others(
    stored: tuple[str, str],
) -> None:
    """Of all combinations there are more than are tried."""
    names = after(*VERSIONS)
    assert len(names.of("city2")) * len(names.of("failed2")) > MOST_TRIED
    found = names.together(["city2", "failed2"])
    assert found[0] == ("city2", "failed2")
    assert stored in found
    assert len(found) <= MOST_TRIED


def test_the_first_combination_is_that_of_the_setting() -> None:
    """Its names may never have been together: a request is stored by the names that it gives."""
    names = after("a x", "b x", "c y", renames={"a": "c", "b": "c"})
    assert names.together(["c", "y"])[0] == ("a", "y")


def test_a_method_is_no_function_and_a_function_no_class() -> None:
    names = after("a function:m:f class:m:C", "b function:n:f class:n:C")
    assert names.of("b") == ["b", "a"]
    assert names.of("function:n:f") == ["function:n:f", "function:m:f"]
    assert names.of("class:n:C") == ["class:n:C", "class:m:C"]
    moved = after("function:m:f", "function:n:f", renames={"m.f": "n:f"})
    assert moved.of("function:n:f") == ["function:m:f", "function:n:f"]


def test_as_many_versions_are_told_apart_as_there_is_room_for() -> None:
    versions = [f"parse_{number}" for number in range(MOST_VERSIONS + 20)]
    names = after(*versions).of(versions[-1])
    assert len(names) == 9
    assert versions[-1] not in names[1:]


def test_of_too_many_names_none_that_is_there_counts_as_gone() -> None:
    many = [f"function:m:f{number}" for number in range(MOST_NAMES + 10)]
    history = NameHistory(many)
    later = NameHistory(["parse", *many[10:], *many[:10], "function:n:new"])
    later.recall(json.loads(json.dumps(history.record())))
    assert OtherNames({}, later).of("function:n:new") == ["function:n:new"]
    assert len(later.record()["seen"]) <= 2 * MOST_NAMES


def test_a_function_of_a_module_that_is_loaded_later_is_not_gone() -> None:
    history = NameHistory(["parse"])
    history.recall({"versions": 1, "seen": {"function:json:loads": 1, "function:json:gone": 1}})
    assert OtherNames({}, history).of("function:m:f") == ["function:m:f", "function:json:gone"]


@pytest.mark.parametrize("record", [None, [], {"versions": "1"}, {"versions": 1, "seen": 3}])
def test_a_record_that_cannot_be_read_is_not_taken(record: object) -> None:
    history = NameHistory(["a"])
    history.recall(record)
    assert history.record() == {"versions": 1, "seen": {"a": 1}}


class Before(Spider):
    name = "cities"

    def parse_city(self, response: Any, **given: Any) -> None: ...

    def failed(self, failure: Any) -> None: ...

    async def parse(self, response: Any) -> None: ...


class Now(Spider):
    name = "cities"

    def parse_town(self, response: Any, **given: Any) -> None: ...

    def gave_up(self, failure: Any) -> None: ...

    def parse_list(self, response: Any) -> None: ...


def telling(codec: Codec, **given: Any) -> list[bytes]:
    return codec.telling_texts(Request("http://a.test", dont_filter=True, **given))


def resumed(spider: Now, **renamed: str) -> Codec:
    codec = Codec(spider, renamed=renamed)
    codec.name_history.recall(json.loads(json.dumps(Codec(Before()).name_history.record())))
    return codec


@pytest.mark.parametrize("renamed", [{}, {"parse_city": "parse_town"}])
@pytest.mark.parametrize("given", [{}, {"cb_kwargs": {"city": 1, "all": [{1, 2}, object()]}}])
def test_a_request_is_known_by_the_names_that_it_had(
    renamed: dict[str, str], given: dict[str, Any]
) -> None:
    old, new = Before(), Now()
    (known,) = telling(Codec(old), callback=old.parse_city, errback=old.failed, **given)
    found = telling(resumed(new, **renamed), callback=new.parse_town, errback=new.gave_up, **given)
    assert known in found[1:]
    assert (b'"parse_city"' in found[0]) == bool(renamed), "the first one is the oldest"


def test_a_request_without_a_callback_is_known_when_parse_was_renamed() -> None:
    old, new = Before(), Now()
    assert telling(Codec(old)) == telling(Codec(old), callback=old.parse) == [b""]
    assert b"" in telling(resumed(new), callback=new.parse_list)
