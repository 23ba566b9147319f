"""Items of every kind come back equal and of their type, without running their code."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import gc
import io
import json
import os
import subprocess
import sys
import typing
import weakref
from decimal import Decimal
from pathlib import Path

import attrs
import pydantic
import pytest
import scrapy
from itemadapter import ItemAdapter
from itemadapter.adapter import AdapterInterface
from lxml.html import fromstring
from scrapy import Request
from scrapy.exporters import CsvItemExporter

from scrapy_resume.codec import Codec
from scrapy_resume.errors import (
    CallbackMissingError,
    ItemNotRecordableError,
    NotRecordableError,
    StoreDamagedError,
)

CODEC = Codec(packages=[__name__])
RUNS = []
T = typing.TypeVar("T")


class Book(scrapy.Item):
    title = scrapy.Field()
    price = scrapy.Field()


class Hooked(scrapy.Item):
    title = scrapy.Field()

    def __init_subclass__(cls):
        RUNS.append(cls)


class Novel(Book):
    pages = scrapy.Field()


@dataclasses.dataclass
class Offer:
    name: str
    price: Decimal = Decimal(1)
    tags: list = dataclasses.field(default_factory=list)
    loud: str = dataclasses.field(init=False)

    def __post_init__(self):
        RUNS.append(self.name)
        self.loud = self.name.upper()

    @functools.cached_property
    def words(self):
        return self.name.split()


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: tuple = ()


@dataclasses.dataclass
class Private:
    __secret: int = 3


@dataclasses.dataclass
class Box(typing.Generic[T]):
    value: T


@dataclasses.dataclass
class Listing(dict):
    name: str = ""


class Tree(Offer):
    """A subclass that is no dataclass itself."""


@attrs.define
class Car:
    make: str
    year: int = attrs.field(default=2000, converter=int)


@attrs.frozen(cache_hash=True)
class Wheel:
    size: int


@attrs.define(slots=False)
class Van:
    make: str
    doors: list = attrs.Factory(list)


class Film(pydantic.BaseModel):
    title: str
    year: int = 1999
    cast: list[str] = pydantic.Field(default_factory=list)
    _views: int = pydantic.PrivateAttr(default=0)

    @pydantic.field_validator("title")
    @classmethod
    def check(cls, value):
        RUNS.append(value)
        return value


class Open(pydantic.BaseModel, extra="allow"):
    title: str


class Row(typing.NamedTuple):
    a: int
    b: str = "x"


class Tone(enum.Enum):
    LOW = "low"


def round_trip(item):
    return CODEC.decode_item(CODEC.encode_item(item))


def error(item):
    with pytest.raises(ItemNotRecordableError) as caught:
        CODEC.encode_item(item)
    return str(caught.value)


def test_a_dict_item_is_its_plain_json():
    item = {"title": "Emma", "price": 9.5, "tags": ["a"], "more": {"n": None}, "sign": "$1"}
    text = CODEC.encode_item(item)
    assert json.loads(text) == item
    assert text == json.dumps(item, separators=(",", ":"))


def test_a_dict_item_whose_keys_look_like_tags_comes_back():
    item = {"$item": "shop:Book", "fields": {"$set": [1]}}
    assert round_trip(item) == item


def test_a_class_item_is_tagged_and_readable():
    assert CODEC.encode_item(Book(title="Emma", price=Decimal("9.5"))) == (
        f'{{"$item":"{__name__}:Book","fields":{{"title":"Emma","price":{{"$decimal":"9.5"}}}}}}'
    )
    assert CODEC.encode_item(Film(title="Brazil")) == (
        f'{{"$item":"{__name__}:Film","fields":{{"title":"Brazil","year":1999,"cast":[]}},'
        '"attributes":{"__pydantic_fields_set__":{"$set":["title"]},'
        '"__pydantic_private__":{"_views":0}}}'
    )


@pytest.mark.parametrize(
    "item",
    [
        Book(title="Emma"),
        Book(),
        Novel(pages=(1, 2), title=b"\xff"),
        Offer("a"),
        Tree("a", tags=[Offer("b")]),
        Frozen("a", (1, Frozen("b"))),
        Private(),
        Box[int](3),
        Car("Fiat", "1957"),
        Van("Ford", [1]),
        Film(title="Brazil", cast=["a"]),
        Row(1),
        collections.OrderedDict(a=1),
        [1, (2,)],
        "text",
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_item_comes_back_equal_and_of_its_type(item):
    back = round_trip(item)
    assert type(back) is type(item)
    assert back == item
    assert CODEC.encode_item(back) == CODEC.encode_item(item)


def test_unset_fields_stay_unset():
    back = round_trip(Book(title="Emma"))
    assert dict(back) == {"title": "Emma"}
    assert "price" not in back


def test_private_attributes_of_a_scrapy_item_are_kept():
    book = Book(title="Emma")
    book._note = (1,)
    assert round_trip(book)._note == (1,)


def test_restored_items_count_as_live_references():
    from scrapy.utils.trackref import iter_all

    back = round_trip(Book(title="Emma"))
    assert any(item is back for item in iter_all("Book"))


def test_no_code_of_the_class_runs_when_an_item_comes_back():
    offer, film = CODEC.encode_item(Offer("x")), CODEC.encode_item(Film(title="x"))
    RUNS.clear()
    assert CODEC.decode_item(offer).loud == "X"
    assert CODEC.decode_item(film).title == "x"
    assert RUNS == []


def test_attributes_beside_the_fields_are_kept():
    offer = Offer("a b")
    assert offer.words == ["a", "b"]
    offer.note = (1,)
    back = round_trip(offer)
    assert back.note == (1,)
    assert vars(back) == vars(offer)


def test_a_field_that_was_never_set_stays_unset():
    offer = object.__new__(Offer)
    offer.name = "a"
    text = CODEC.encode_item(offer)
    assert not hasattr(CODEC.decode_item(text), "loud")


def test_a_cached_hash_does_not_outlive_its_process():
    wheel = Wheel(3)
    assert isinstance(hash(wheel), int)
    text = CODEC.encode_item(wheel)
    assert '"_attrs_cached_hash":null' in text
    assert hash(CODEC.decode_item(text)) == hash(Wheel(3))


def test_a_model_keeps_what_was_set_and_what_is_extra_or_private():
    film = Film(title="Brazil")
    film._views = 3
    back = round_trip(film)
    assert back.model_fields_set == {"title"}
    assert back._views == 3
    extra = Open(title="a", more=(1, 2))
    assert round_trip(extra).model_extra == {"more": (1, 2)}
    assert round_trip(Film.model_construct(year="?")).year == "?"


def test_a_field_that_the_class_got_since_has_its_default():
    texts = [CODEC.encode_item(item) for item in (Frozen("a"), Van("b"), Car("c"), Film(title="d"))]

    def without(text, field):
        tree = json.loads(text)
        del tree["fields"][field]
        return CODEC.decode_item(json.dumps(tree))

    assert without(texts[0], "parts") == Frozen("a")
    assert without(texts[1], "doors") == Van("b")
    assert without(texts[2], "year") == Car("c")
    assert without(texts[3], "year").year == 1999


def test_a_field_that_a_class_with_slots_no_longer_has_is_named():
    text = CODEC.encode_item(Frozen("a")).replace('"name"', '"gone"')
    with pytest.raises(CallbackMissingError, match="gone"):
        CODEC.decode_item(text)


def exported(item, **options):
    out = io.BytesIO()
    exporter = CsvItemExporter(out, **options)
    exporter.start_exporting()
    exporter.export_item(item)
    exporter.finish_exporting()
    return out.getvalue()


def test_fields_that_were_added_to_an_item_class_at_runtime_are_exported_by_another_process():
    book = Book(title="a")
    try:
        Book.fields["weight"] = scrapy.Field()
        book["weight"] = 3
        text, before = CODEC.encode_item(book), exported(book)
    finally:
        del Book.fields["weight"]
    back = CODEC.decode_item(text)
    assert isinstance(back, Book)
    assert dict(back) == {"title": "a", "weight": 3}
    assert exported(back) == before
    assert "weight" not in Book.fields
    assert CODEC.encode_item(back) == text
    with pytest.raises(KeyError):
        Book(weight=1)


def test_a_class_that_no_longer_exists_is_named(monkeypatch):
    text = CODEC.encode_item(Book(title="a"))
    monkeypatch.delattr(sys.modules[__name__], "Book")
    with pytest.raises(CallbackMissingError, match=f"{__name__}:Book"):
        CODEC.decode_item(text)


def test_a_lenient_reader_gets_plain_values_for_what_is_missing():
    parts = {"row": Row(1), "offer": Offer("x"), "class": Offer, "function": round_trip}
    text = CODEC.encode_item(Book(title=Tone.LOW, price=parts)).replace(__name__, "shop_gone")
    assert CODEC.decode_item(text, lenient=True) == {
        "title": "low",
        "price": {
            "row": (1, "x"),
            "offer": {"name": "x", "price": Decimal(1), "tags": [], "loud": "X"},
            "class": "shop_gone:Offer",
            "function": "function:shop_gone:round_trip",
        },
    }


def test_a_lenient_reader_gets_the_real_thing_where_it_exists():
    assert CODEC.decode_item(CODEC.encode_item(Book(title="a")), lenient=True) == Book(title="a")


def test_a_lenient_reader_needs_no_spider_for_requests():
    text = '{"next":{"$request":"http://a.com","callback":"parse","headers":{"$A":"b"}}}'
    assert CODEC.decode_item(text, lenient=True) == {
        "next": {"url": "http://a.com", "callback": "parse", "headers": {"$A": "b"}}
    }


def test_a_damaged_item_is_an_error_even_for_a_lenient_reader():
    with pytest.raises(StoreDamagedError):
        CODEC.decode_item('{"$item":3}', lenient=True)


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"price": object()}, "item['price']"),
        ({"price": [1, {"x": object()}]}, "item['price'][1]['x']"),
        (Book(price=object()), "item['price']"),
        (Offer("a", price=object()), "item.price"),
        (Film.model_construct(title=object()), "item.title"),
        (Row(object()), "item.a"),
    ],
    ids=["dict", "nested", "scrapy", "dataclass", "pydantic", "namedtuple"],
)
def test_an_item_that_cannot_be_written_names_its_type_and_field(item, place):
    message = error(item)
    assert f"{place} is a object" in message
    assert type(item).__name__ in message


def test_no_hook_of_an_item_class_runs_for_fields_that_were_added_to_it():
    text = CODEC.encode_item(Hooked(title="a")).replace('"title"', '"other"')
    RUNS.clear()
    assert dict(CODEC.decode_item(text)) == {"other": "a"}
    assert RUNS == []


def made_by_type(base=scrapy.Item):
    fields = {"price": scrapy.Field(serializer="{} EUR".format), "title": scrapy.Field()}
    return type("Made", (base,), {**fields, "unset": scrapy.Field()})


def test_an_item_of_a_class_made_by_type_is_a_dict_with_what_a_feed_shows():
    item = made_by_type()(title="a", price=2)
    text = CODEC.encode_item(item)
    assert CODEC.decode_item(text, lenient=True) == {"title": "a", "price": "2 EUR"}
    assert type(CODEC.decode_item(text, lenient=True)) is dict
    # Columns of fields that are not set are in the header.
    assert exported(CODEC.decode_item(text)) == exported(item)
    item["unset"] = None
    assert type(CODEC.decode_item(CODEC.encode_item(item))) is dict


def test_an_item_of_a_class_made_by_type_is_known_by_its_nearest_named_base():
    item = made_by_type(Book)(title="a", price=2)
    back = CODEC.decode_item(CODEC.encode_item(item))
    assert isinstance(back, Book)
    assert exported(back) == exported(item)


def test_an_item_of_a_local_class_is_a_dict_also_within_another_item():
    @dataclasses.dataclass
    class Local:
        name: str = ""

    assert round_trip(Local("a")) == {"name": "a"}
    assert round_trip({"in": Local("a")}) == {"in": {"name": "a"}}


def test_an_item_of_a_type_that_only_itemadapter_knows_is_a_dict():
    class Foreign:
        def __init__(self, **values):
            self.values = values

    class ForeignAdapter(AdapterInterface):
        is_item_class = classmethod(lambda cls, kind: kind is Foreign)
        __getitem__ = lambda self, name: self.item.values[name]  # noqa: E731
        __iter__ = lambda self: iter(self.item.values)  # noqa: E731
        __len__ = lambda self: len(self.item.values)  # noqa: E731
        __setitem__ = __delitem__ = None

    ItemAdapter.ADAPTER_CLASSES.appendleft(ForeignAdapter)
    try:
        assert round_trip(Foreign(a=(1,))) == {"a": (1,)}
    finally:
        ItemAdapter.ADAPTER_CLASSES.popleft()


def test_an_item_class_that_its_name_no_longer_leads_to_gives_a_dict(monkeypatch):
    book = Book(title="a", price=1)
    monkeypatch.setattr(sys.modules[__name__], "Book", Novel)
    codec = Codec(packages=[__name__])
    assert codec.decode_item(codec.encode_item(book)) == {"title": "a", "price": 1}


def test_a_class_that_is_more_than_its_fields_gives_what_plain_scrapy_exports():
    listing = Listing("a")
    listing["b"] = 1
    assert round_trip(listing) == dict(ItemAdapter(listing)) == {"b": 1}


def test_what_an_item_carries_beside_its_fields_is_left_out_if_it_cannot_be_serialized():
    book, offer, film = Book(title="a"), Offer("a"), Film(title="a")
    book._instance = offer.connection = film._views = object()
    for item in (book, offer, film):
        back = round_trip(item)
        assert type(back) is type(item)
        assert dict(ItemAdapter(back)) == dict(ItemAdapter(item))


def test_classes_made_for_each_page_are_not_remembered():
    kept = []
    for page in range(3):
        kind = type(f"Page{page}", (scrapy.Item,), {"title": scrapy.Field()})
        CODEC.encode_item(kind(title="a"))
        kept.append(weakref.ref(kind))
    del kind
    gc.collect()
    assert [ref() for ref in kept] == [None, None, None]


def test_an_item_class_of_the_script_itself_comes_back(tmp_path):
    script = tmp_path / "crawl.py"
    script.write_text(
        "import dataclasses\n"
        "from scrapy_resume.codec import Codec\n"
        "@dataclasses.dataclass\n"
        "class Book:\n"
        "    title: str\n"
        "codec = Codec()\n"
        "assert codec.decode_item(codec.encode_item(Book('a'))) == Book('a')\n"
        "print('same')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "same\n"


def test_a_class_of_a_file_that_runspider_loaded_comes_back(tmp_path, monkeypatch):
    from importlib import import_module

    (tmp_path / "resume_loose_file.py").write_text(
        "import scrapy\nclass Thing(scrapy.Item):\n    name = scrapy.Field()\n"
    )
    with monkeypatch.context() as context:
        context.syspath_prepend(str(tmp_path))
        module = import_module("resume_loose_file")
    try:
        thing = module.Thing(name="a")
        assert round_trip(thing) == thing
    finally:
        del sys.modules["resume_loose_file"]


class Shouted(str):
    pass


class Attributed(dict[str, int]):
    pass


def test_an_item_keeps_what_a_feed_would_hold_of_subclasses_of_plain_types() -> None:
    text = fromstring("<p>one</p>").xpath("//text()")[0]
    item = {"smart": text, "own": Shouted("loud"), "mapping": Attributed(a=1)}
    assert type(text) is not str
    again = Codec().decode_item(Codec().encode_item(item))
    assert again == {"smart": "one", "own": "loud", "mapping": {"a": 1}}
    assert [type(value) for value in again.values()] == [str, str, dict]


def test_a_request_keeps_the_text_of_the_link_that_crawlspider_gives_it() -> None:
    text = fromstring("<p>one</p>").xpath("//text()")[0]
    request = Request("http://a.test/", meta={"link_text": text})
    again = Codec().decode_request(request.url, Codec().encode_request(request))
    assert again.meta == {"link_text": "one"}


def test_a_request_with_any_other_subclass_of_text_is_not_recorded() -> None:
    with pytest.raises(NotRecordableError, match="Shouted"):
        Codec().encode_request(Request("http://a.test/", meta={"x": Shouted("loud")}))
