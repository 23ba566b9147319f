"""Names in a job's file lead to the code of the crawl, and to data types, and nowhere else."""

from __future__ import annotations

import collections
import functools
import json
import operator
import os
import pydoc
import subprocess
import sys
import textwrap
from http import HTTPStatus
from os import system  # noqa: F401 -- the name that a forged record uses
from types import SimpleNamespace
from urllib.parse import SplitResult, urlsplit

import pytest
from scrapy import Request, Spider
from scrapy.http import FormRequest, JsonRequest
from scrapy.http.request import NO_CALLBACK

from scrapy_resume.codec import Codec
from scrapy_resume.codec.trust import Trust
from scrapy_resume.errors import (
    CallbackMissingError,
    ItemNotRecordableError,
    NotRecordableError,
    ResumeError,
    StoreDamagedError,
    UntrustedNameError,
)

URL = "http://a.com/"


def parse_elsewhere(response):
    pass


class Loader:
    def __call__(self, response):
        pass


class TrustedSpider(Spider):
    name = "trusted"
    pager = staticmethod(pydoc.pipepager)
    shell = os.system
    getter = operator.itemgetter(0)
    half = functools.partial(os.system, "true")

    def parse(self, response):
        pass


class Child(TrustedSpider):
    pass


# What only the tests of forged records name. It is loaded, and not the spider's.
FOREIGN = """
import dataclasses, enum, os
import attrs, pydantic
from scrapy import Item, Field, Request

calls = []

def shout(*args, **kwargs):
    calls.append("shout")

def factory():
    calls.append("factory")
    return 3

class Book(Item):
    title = Field()

    def __init__(self, *args, **kwargs):
        calls.append("Item.__init__")
        super().__init__(*args, **kwargs)

@dataclasses.dataclass
class Offer:
    name: str
    tags: list = dataclasses.field(default_factory=list)
    price: int = 3

    def __post_init__(self):
        calls.append("__post_init__")

@dataclasses.dataclass
class Grown:
    name: str
    price: int = dataclasses.field(default_factory=factory)

@dataclasses.dataclass
class Closing:
    path: str

    def __del__(self):
        calls.append("__del__")

@attrs.define
class Car:
    name: str = attrs.field(validator=lambda *args: calls.append("validator"))

class Film(pydantic.BaseModel):
    title: str

    @pydantic.field_validator("title")
    @classmethod
    def check(cls, value):
        calls.append("field_validator")
        return value

class Colour(enum.Enum):
    RED = "r"

    @classmethod
    def _missing_(cls, value):
        calls.append("_missing_")
        return cls.RED

class Bits(enum.Flag):
    ONE = 1
    TWO = 2

class Page(Request):
    pass

class Plain:
    def __init__(self, *args, **kwargs):
        calls.append("Plain.__init__")
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A loaded module of somebody else."""
    (tmp_path / "foreign_models.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    import foreign_models

    yield foreign_models
    del sys.modules["foreign_models"]


@pytest.fixture
def unloaded(tmp_path, monkeypatch):
    """The name of a module that leaves a file behind when it is imported."""
    mark = tmp_path / "imported"
    (tmp_path / "unloaded_models.py").write_text(f"open({str(mark)!r}, 'w').close()\n{FOREIGN}")
    monkeypatch.syspath_prepend(tmp_path)
    yield "unloaded_models"
    assert not mark.exists()
    assert "unloaded_models" not in sys.modules


def stored(**fields):
    return json.dumps(fields)


def restore(text, spider=None, packages=()):
    return Codec(spider or TrustedSpider(), packages=packages).decode_request(URL, text)


def recorded(request, spider=None, packages=()):
    return Codec(spider or TrustedSpider(), packages=packages).encode_request(request)


# -- forged records

FORGED_NAMES = [
    "pydoc:pipepager",
    "os:system",
    "posix:system",
    "subprocess:Popen",
    "subprocess:run",
    "builtins:exec",
    "builtins:eval",
    "builtins:__import__",
    "importlib:import_module",
    "operator:methodcaller",
    "scrapy.utils.misc:load_object",
    f"{__name__}:system",
    f"{__name__}:os.system",
    f"{__name__}:subprocess.Popen",
    f"{__name__}:sys.modules",
    f"{__name__}:SplitResult._make",
    f"{__name__}:functools.partial",
    f"{__name__}:TrustedSpider.pager",
    f"{__name__}:TrustedSpider.shell",
    f"{__name__}:TrustedSpider.parse.__globals__",
    f"{__name__}:TrustedSpider.__init__.__globals__",
    f"{__name__}:TrustedSpider.__class__",
    f"{__name__}:TrustedSpider.__subclasses__",
    f"{__name__}:parse_elsewhere.__class__",
    f"{__name__}:SimpleNamespace",
    "",
    ":",
    ":system",
    "os:",
    "no.such.module:name",
]


@pytest.mark.parametrize("name", FORGED_NAMES)
@pytest.mark.parametrize("form", ["function", "method"])
@pytest.mark.parametrize("field", ["callback", "errback"])
def test_a_forged_callback_is_refused(name, form, field):
    with pytest.raises(CallbackMissingError):
        restore(stored(**{field: f"{form}:{name}"}))


@pytest.mark.parametrize("name", ["pager", "shell", "getter", "half", "__dict__", "__setattr__"])
def test_an_attribute_of_the_spider_that_is_foreign_code_is_refused(name):
    with pytest.raises(CallbackMissingError):
        restore(stored(callback=name), Child())


@pytest.mark.parametrize("name", FORGED_NAMES)
@pytest.mark.parametrize("tag", ["$class", "$item", "$namedtuple", "$enum", "$zone", "$codec"])
def test_a_forged_value_is_refused(name, tag):
    tree = {tag: name, "fields": {}, "name": "a", "value": 1, "arguments": ["true"]}
    with pytest.raises((CallbackMissingError, StoreDamagedError)):
        restore(stored(meta={"a": tree}))
    with pytest.raises((CallbackMissingError, StoreDamagedError)):
        restore(stored(cb_kwargs={"a": {"$defaultdict": {}, "factory": tree}}))


def test_the_module_of_a_forged_name_is_not_imported(unloaded):
    names = ("shout", "Offer", "Book", "Film", "Car", "Plain", "Colour", "Page", "os.system")
    codec = Codec(TrustedSpider())
    for name in (f"{unloaded}:{name}" for name in names):
        for text in (
            stored(callback=f"function:{name}"),
            stored(errback=f"method:{name}"),
            stored(**{"class": name}),
            stored(meta={"a": {"$class": name}}),
            stored(meta={"a": {"$callable": f"function:{name}"}}),
            stored(meta={"a": {"$item": name, "fields": {}}}),
            stored(meta={"a": {"$enum": name, "name": "RED"}}),
            stored(meta={"a": {"$namedtuple": name, "fields": {}}}),
        ):
            with pytest.raises(UntrustedNameError, match=f"RESUME_TRUSTED = .'{unloaded}'."):
                codec.decode_request(URL, text)
        item = json.dumps({"$item": name, "fields": {"title": "a"}})
        with pytest.raises(UntrustedNameError):
            codec.decode_item(item)
        assert codec.decode_item(item, lenient=True) == {"title": "a"}


def test_a_lenient_reader_shows_a_forged_function_as_text():
    text = json.dumps({"a": {"$callable": "function:os:system"}, "b": {"$class": "os:system"}})
    assert Codec().decode_item(text, lenient=True) == {"a": "function:os:system", "b": "os:system"}


# -- item types are data


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Book", {"title": "a"}),
        ("Offer", {"name": "a"}),
        ("Car", {"name": "a"}),
        ("Film", {"title": "a"}),
    ],
)
def test_an_item_of_any_loaded_package_is_restored_without_a_call_of_its_code(
    foreign, name, fields
):
    text = json.dumps({"$item": f"foreign_models:{name}", "fields": fields})
    for codec in (Codec(), Codec(TrustedSpider())):
        item = codec.decode_item(text)
        assert type(item) is getattr(foreign, name)
    if name == "Offer":
        assert (item.tags, item.price) == ([], 3)
    assert foreign.calls == []


def test_a_class_that_is_no_item_type_is_refused(foreign):
    for tag in ("$item", "$class"):
        with pytest.raises(CallbackMissingError, match="Plain"):
            Codec().decode_value(json.dumps({tag: "foreign_models:Plain", "fields": {}}))
    assert foreign.calls == []


def test_a_default_that_foreign_code_makes_is_not_made(foreign):
    text = json.dumps({"$item": "foreign_models:Grown", "fields": {"name": "a"}})
    with pytest.raises(UntrustedNameError, match=r"Grown\.price"):
        Codec().decode_item(text)
    assert foreign.calls == []
    assert Codec(packages=["foreign_models"]).decode_item(text).price == 3


def test_an_item_with_a_finalizer_is_restored_only_if_it_is_trusted(foreign):
    text = json.dumps({"$item": "foreign_models:Closing", "fields": {"path": "/etc/passwd"}})
    with pytest.raises(UntrustedNameError):
        Codec().decode_item(text)
    assert foreign.calls == []
    assert Codec(packages=["foreign_models"]).decode_item(text).path == "/etc/passwd"


def test_an_enum_of_any_loaded_package_is_restored_without_a_call_of_its_code(foreign):
    def read(name, value=None):
        tree = {"$enum": "foreign_models:Colour", "name": name, "value": value}
        return Codec().decode_value(json.dumps(tree))

    assert read("RED") is foreign.Colour.RED
    assert read("PINK", "r") is foreign.Colour.RED
    with pytest.raises(CallbackMissingError, match="PINK"):
        read("PINK", "p")
    assert foreign.calls == []
    both = foreign.Bits.ONE | foreign.Bits.TWO
    assert Codec().decode_value(Codec().encode_value(both)) is both


def test_data_types_of_other_packages_are_recorded():
    meta = {
        "url": urlsplit("http://a.com/b"),
        "status": HTTPStatus.OK,
        "groups": collections.defaultdict(list, a=[1]),
        "kinds": [dict, ValueError, collections.OrderedDict],
    }
    request = Request(URL, meta=meta)
    again = restore(recorded(request))
    assert again.meta == meta
    assert type(again.meta["url"]) is SplitResult
    for made in (FormRequest(URL, formdata={"a": "b"}), JsonRequest(URL, data={"a": 1})):
        assert type(restore(recorded(made))) is type(made)
    assert restore(recorded(Request(URL, callback=NO_CALLBACK))).callback is NO_CALLBACK


def test_data_types_that_the_next_run_may_not_have_loaded_are_not_recorded(unused_module):
    codec = Codec(TrustedSpider())
    late = unused_module()
    for value in (late.Offer("a"), late.Colour.RED):
        with pytest.raises(NotRecordableError, match="RESUME_TRUSTED"):
            codec.encode_request(Request(URL, meta={"a": value}))
    with pytest.raises(NotRecordableError, match="RESUME_TRUSTED"):
        codec.encode_request(late.Page(URL))
    # Of an item that would be an error, which costs the crawl the item.
    assert codec.decode_item(codec.encode_item(late.Offer("a"))) == late.Offer("a")


@pytest.fixture
def unused_module(tmp_path, monkeypatch):
    (tmp_path / "late_models.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)

    def load():
        import late_models

        return late_models

    yield load
    del sys.modules["late_models"]


# -- what the crawl itself names


@pytest.mark.parametrize("callback", [os.system, pydoc.pipepager, len, subprocess.run])
def test_a_foreign_callback_is_not_recorded(callback):
    with pytest.raises(NotRecordableError, match="set RESUME_TRUSTED = "):
        recorded(Request(URL, callback=callback))
    with pytest.raises(NotRecordableError, match="set RESUME_TRUSTED = "):
        recorded(Request(URL, meta={"a": callback}))


@pytest.mark.parametrize(
    "value", [subprocess.Popen, operator.methodcaller, TrustedSpider.pager, type]
)
def test_a_foreign_class_is_not_recorded(value):
    with pytest.raises(NotRecordableError, match="set RESUME_TRUSTED = "):
        recorded(Request(URL, meta={"a": value}))


@pytest.mark.parametrize(
    "callback",
    [
        functools.partial(parse_elsewhere),
        operator.methodcaller("close"),
        Loader(),
        lambda response: None,
        [].append,
        os.environ.get,
    ],
)
def test_a_callable_without_a_name_is_not_recorded(callback):
    with pytest.raises(NotRecordableError):
        recorded(Request(URL, callback=callback))


def test_an_attribute_of_the_spider_that_is_foreign_code_is_not_recorded():
    spider = Child()
    for callback in (spider.pager, spider.shell):
        with pytest.raises(NotRecordableError, match="set RESUME_TRUSTED = "):
            recorded(Request(URL, callback=callback), spider)


def test_items_are_written_whoever_their_values_belong_to():
    codec = Codec(TrustedSpider())
    text = codec.encode_item({"a": pydoc.pipepager, "b": subprocess.Popen})
    with pytest.raises(UntrustedNameError):
        codec.decode_item(text)
    whole = Codec(TrustedSpider(), packages=["pydoc", "subprocess"])
    assert whole.decode_item(text) == {"a": pydoc.pipepager, "b": subprocess.Popen}


def test_the_module_of_the_spider_and_of_its_bases_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "child_spider.py").write_text(
        textwrap.dedent(
            f"""
            from {__name__} import TrustedSpider

            class Grandchild(TrustedSpider):
                name = "grandchild"

            def parse_here(response):
                pass
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    import child_spider

    spider = child_spider.Grandchild()
    for callback in (child_spider.parse_here, parse_elsewhere, spider.parse):
        assert restore(recorded(Request(URL, callback=callback), spider), spider).callback in (
            callback,
        )
    with pytest.raises(NotRecordableError):
        recorded(Request(URL, callback=child_spider.parse_here))


def test_a_trusted_package_is_imported_and_a_longer_name_is_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mended", "mended_more"):
        (tmp_path / f"{name}_kit").mkdir()
        (tmp_path / f"{name}_kit" / "__init__.py").write_text("")
        (tmp_path / f"{name}_kit" / "parsers.py").write_text("def parse(response): pass\n")
    codec = Codec(TrustedSpider(), packages=["mended_kit"])
    text = stored(callback="function:mended_kit.parsers:parse")
    assert codec.decode_request(URL, text).callback.__module__ == "mended_kit.parsers"
    for other in ("mended_more_kit", "mended", "mended_kits", "kit"):
        assert not Trust(packages=["mended_kit"]).covers(f"{other}.parsers")
    with pytest.raises(UntrustedNameError):
        codec.decode_request(URL, text.replace("mended_kit", "mended_more_kit"))
    assert "mended_more_kit.parsers" not in sys.modules


def test_a_trusted_package_may_name_only_what_it_defines():
    codec = Codec(TrustedSpider(), packages=["pydoc"])
    assert codec.decode_value('{"$callable":"function:pydoc:pipepager"}') is pydoc.pipepager
    for name in ("os.system", "sys.exit", "builtins.exec"):
        with pytest.raises(UntrustedNameError):
            codec.decode_value(json.dumps({"$callable": f"function:pydoc:{name}"}))


def test_the_remedy_that_an_error_names_works():
    text = stored(callback="function:posix:system")
    with pytest.raises(ResumeError, match=r"set RESUME_TRUSTED = \['posix'\]"):
        restore(text)
    assert restore(text, packages=["posix"]).callback is os.system


def test_a_name_that_changed_hands_while_the_process_runs_is_judged_again(monkeypatch):
    codec = Codec(TrustedSpider())
    text = stored(callback=f"function:{__name__}:parse_elsewhere")
    assert codec.decode_request(URL, text).callback is parse_elsewhere
    monkeypatch.setattr(sys.modules[__name__], "parse_elsewhere", os.system)
    with pytest.raises(UntrustedNameError):
        codec.decode_request(URL, text)


def test_the_types_of_the_codec_itself_can_be_forged_into_no_call():
    for tree in (
        {"$request": URL, "callback": "function:os:system"},
        {"$request": URL, "class": "subprocess:Popen"},
        {"$defaultdict": {}, "factory": {"$callable": "function:os:getcwd"}},
        {"$namespace": {"a": {"$callable": "function:os:system"}}},
    ):
        with pytest.raises(UntrustedNameError):
            Codec().decode_value(json.dumps(tree))
    assert Codec().decode_value('{"$namespace":{"a":1}}') == SimpleNamespace(a=1)


@pytest.mark.parametrize("depth", [5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"$tuple":[', '{"$request":"a","meta":{"a":'])
def test_a_record_that_is_nested_too_deeply_is_an_error_of_the_store(opening, depth):
    closing = {"[": "]", '{"a":': "}", '{"$tuple":[': "]}"}.get(opening, "}}")
    text = opening * depth + "1" + closing * depth
    codec = Codec(TrustedSpider())
    for read in (
        lambda: codec.decode_value('{"$tuple":[' + text + "]}"),
        lambda: codec.decode_item('{"$tuple":[' + text + "]}"),
        lambda: codec.decode_request(URL, f'{{"meta":{{"b":{{"$tuple":[]}},"a":{text}}}}}'),
    ):
        with pytest.raises(StoreDamagedError):
            read()


def test_a_record_that_is_too_long_is_refused_when_it_is_written(monkeypatch):
    monkeypatch.setattr("scrapy_resume.codec.json_text.LONGEST_TEXT", 100)
    codec = Codec(TrustedSpider())
    with pytest.raises(NotRecordableError, match="198 characters"):
        codec.encode_request(Request(URL, meta={"a": "b" * 181}))
    with pytest.raises(ItemNotRecordableError, match="100 are the most"):
        codec.encode_item({"a": "b" * 200})


def test_a_name_is_not_even_looked_up_in_a_module_that_was_imported():
    for path in (f"{__name__}:sys.no_such_name", f"{__name__}:json.no_such_name"):
        with pytest.raises(UntrustedNameError):
            Codec(TrustedSpider()).decode_value(json.dumps({"$callable": f"function:{path}"}))
