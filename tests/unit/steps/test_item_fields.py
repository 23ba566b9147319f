"""Fields of items of every kind: what is there, what is merged, what feeds see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import attrs
import pydantic
import pytest
from itemadapter import ItemAdapter
from scrapy import Field, Item

from scrapy_resume.codec import Codec
from scrapy_resume.steps.item_fields import (
    MergeError,
    digest_of,
    has_field,
    merged,
    merged_payload,
    without_fields,
)

CODEC = Codec(packages=("tests",))


class Declared(Item):
    url = Field()
    html = Field()
    photos = Field()


@dataclass
class Plain:
    url: str
    html: str | None = None
    photos: list[str] = field(default_factory=list)


@attrs.define
class Attrs:
    url: str
    html: str | None = None
    photos: list[str] = attrs.field(factory=list)


class Model(pydantic.BaseModel):
    url: str
    html: str | None = None
    photos: list[str] = []


KINDS = [dict, Declared, Plain, Attrs, Model]
WITH_FIELDS = KINDS[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_are_there_and_not_empty(kind: Any) -> None:
    has = has_field(kind(url="u", html="", photos=["p"]))
    assert [has(name) for name in ("url", "html", "photos", "vin")] == [True, False, True, False]


def test_zero_and_false_are_not_empty() -> None:
    has = has_field({"zero": 0, "no": False, "none": None, "text": "", "list": [], "dict": {}})
    there = [name for name in ("zero", "no", "none", "text", "list", "dict") if has(name)]
    assert there == ["zero", "no"]


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_merged_into_an_item_of_any_kind(kind: Any) -> None:
    payload = CODEC.encode_item(kind(url="u", html="h"))
    item = CODEC.decode_item(merged_payload(CODEC, payload, {"photos": ["p"]}, None))
    assert type(item) is kind
    assert ItemAdapter(item).asdict() == {"url": "u", "html": "h", "photos": ["p"]}


@pytest.mark.parametrize("kind", WITH_FIELDS)
def test_a_field_that_a_class_does_not_have_is_named(kind: Any) -> None:
    with pytest.raises(MergeError, match=f"'vin', which {kind.__name__} does not have"):
        merged(kind(url="u"), {"vin": "1"})


@pytest.mark.parametrize("kind", KINDS)
def test_consumed_fields_are_taken_out_of_what_feeds_see(kind: Any) -> None:
    payload = CODEC.encode_item(kind(url="u", html="h", photos=["p"]))
    item = CODEC.decode_item(without_fields(CODEC, payload, {"html", "vin"}))
    assert type(item) is kind
    seen = ItemAdapter(item).asdict()
    assert not seen.get("html")
    assert (seen["url"], seen["photos"]) == ("u", ["p"])


def test_an_item_without_consumed_fields_is_left_as_it_is() -> None:
    payload = CODEC.encode_item({"url": "u"})
    assert without_fields(CODEC, payload, {"html"}) is payload


def test_a_digest_tells_fields_apart_and_not_others() -> None:
    one = digest_of(CODEC, {"a": 1, "b": [2], "c": 3}, ("a", "b"))
    assert one == digest_of(CODEC, {"b": [2], "a": 1, "c": 4}, ("a", "b"))
    assert one != digest_of(CODEC, {"a": 1, "b": [3]}, ("a", "b"))
    assert digest_of(CODEC, {"a": 1}, ()) == ""
