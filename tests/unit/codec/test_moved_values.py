"""Values of requests whose class has moved: held by name, and restored by ``RESUME_RENAMED``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from scrapy import Request, Spider

from scrapy_resume.codec import Codec
from scrapy_resume.errors import CallbackMissingError

CODE = """
    import enum
    from dataclasses import dataclass, field
    from typing import NamedTuple

    import attrs
    import pydantic
    import scrapy

    @dataclass(frozen=True)
    class Link:
        number: int

    @dataclass(slots=True)
    class Slotted:
        link: Link
        tags: list = field(default_factory=list)

    class Mood(enum.Enum):
        good = 1

    class Flags(enum.IntFlag):
        a = 1
        b = 2

    class Pair(NamedTuple):
        left: int
        right: str = "r"

    @attrs.frozen
    class Tag:
        text: str

    class Model(pydantic.BaseModel):
        size: int

    class Page(scrapy.Item):
        title = scrapy.Field()

    class Posted(scrapy.Request):
        pass

    class Outer:
        class Inner(NamedTuple):
            n: int

    def label(text):
        return text
"""

Make = Callable[[Any], Any]

KINDS: dict[str, Make] = {
    "Link": lambda m: m.Link(1),
    "Slotted": lambda m: m.Slotted(None, [1]),
    "Mood": lambda m: m.Mood.good,
    "Flags": lambda m: m.Flags.a | m.Flags.b,
    "Pair": lambda m: m.Pair(1),
    "Tag": lambda m: m.Tag("t"),
    "Model": lambda m: m.Model(size=3),
    "Page": lambda m: m.Page(title="T"),
    "Posted": lambda m: m.Posted("http://a.test/2"),
    "Outer.Inner": lambda m: m.Outer.Inner(1),
    "label": lambda m: m.label,
}

NESTED: dict[str, Make] = {
    "alone": lambda value: value,
    "in a list of a dict": lambda value: {"all": [{"x": (value, 1)}]},
    "as a key": lambda value: {value: "v"} if value.__hash__ else {"k": value},
    "in a request": lambda value: Request("http://a.test/3", cb_kwargs={"value": value}),
}


class Shop(Spider):
    name = "shop"


@pytest.fixture
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The module where the code was, and the one where it is; the first one is empty later."""
    made = []
    for name in ("moved_before", "moved_after"):
        module = sys.modules[name] = ModuleType(name)
        exec(textwrap.dedent(CODE), vars(module))
        made.append(module)
    yield made[0], made[1]
    for module in made:
        del sys.modules[module.__name__]


def codec(**renamed: str) -> Codec:
    return Codec(Shop(), packages=["moved_before", "moved_after"], renamed=renamed)


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["cb_kwargs", "meta"])
def test_a_value_whose_class_has_moved_is_held_by_its_name_and_restored(
    modules: tuple[ModuleType, ModuleType], kind: str, nested: str, where: str
) -> None:
    before, after = modules
    made = NESTED[nested](KINDS[kind](before))
    payload = codec().encode_request(Request("http://a.test", **{where: {"value": made}}))
    top = kind.partition(".")[0]
    delattr(before, top)
    with pytest.raises(CallbackMissingError) as error:
        codec().decode_request("http://a.test", payload)
    assert error.value.name == f"moved_before:{kind}"
    said = f"RESUME_RENAMED = {{'moved_before.{kind}': 'moved_after.{kind}'}}"
    assert said in str(error.value)
    renamed = {f"moved_before.{kind}": f"moved_after.{kind}"}
    now = codec(**renamed)
    request = now.decode_request("http://a.test", payload)
    expected = NESTED[nested](KINDS[kind](after))
    as_new = Request("http://a.test", **{where: {"value": expected}})
    assert now.encode_request(request) == now.encode_request(as_new)
    setattr(before, top, getattr(after, top))


@pytest.mark.parametrize("kind", ["Link", "Mood", "Pair", "Model", "Page", "Tag"])
def test_an_item_that_waits_for_its_feed_is_restored_by_the_name_that_its_class_has_now(
    modules: tuple[ModuleType, ModuleType], kind: str
) -> None:
    before, after = modules
    payload = codec().encode_item({"value": [KINDS[kind](before)]})
    delattr(before, kind)
    with pytest.raises(CallbackMissingError, match=f"moved_after.{kind}"):
        codec().decode_item(payload)
    found = codec(**{f"moved_before.{kind}": f"moved_after.{kind}"}).decode_item(payload)
    assert type(found["value"][0]) is getattr(after, kind)


def test_two_requests_are_told_apart_by_the_fields_of_a_value_wherever_its_class_is(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    def told(module: ModuleType, number: int) -> list[bytes]:
        values = {"a": [module.Link(number)], "b": module.Mood.good, "c": module.Pair(number)}
        return codec().telling_texts(Request("http://a.test", cb_kwargs=values))

    before, after = modules
    assert told(before, 1) == told(after, 1) != told(after, 2)
