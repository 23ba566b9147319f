"""Values of all kinds come back equal and of their type, or are refused."""

from __future__ import annotations

import collections
import enum
import ipaddress
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
import types
import uuid
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import urlparse
from zoneinfo import ZoneInfo

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st
from parsel import Selector
from scrapy import Spider
from scrapy.http import HtmlResponse, Response
from scrapy.http.headers import Headers

from scrapy_resume.codec import Codec
from scrapy_resume.errors import CallbackMissingError, NotRecordableError, StoreDamagedError

CODEC = Codec(packages=[__name__])


class Colour(enum.Enum):
    RED = 1
    CRIMSON = RED
    GREEN = ("g", 2)
    OPAQUE = object()


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()


class Loose(collections.namedtuple("Loose", "x")):
    pass


class Text(str):
    __slots__ = ()


class Table(dict):
    pass


class Plain:
    pass


class Trap:
    calls = 0

    def __new__(cls, *args):
        cls.calls += 1
        return super().__new__(cls)


class Tools:
    @classmethod
    def make(cls) -> None:
        pass


def function() -> None:
    pass


def same(one, other):
    """Equal and of the same types all the way down; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(key, other_key) and same(value, other_value)
            for (key, value), (other_key, other_value) in zip(
                one.items(), other.items(), strict=True
            )
        )
    if isinstance(one, list | tuple | collections.deque):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def round_trip(value):
    return CODEC.decode_value(CODEC.encode_value(value))


def error(value):
    with pytest.raises(NotRecordableError) as caught:
        CODEC.encode_value(value)
    return str(caught.value)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.decimals().filter(lambda value: not value.is_snan()),
    st.fractions(),
    st.complex_numbers(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones() | st.just(timezone.utc)),
    st.times(),
    st.timedeltas(),
)
frozen = st.frozensets(scalars.filter(lambda value: value == value), max_size=3)
hashables = st.recursive(scalars | frozen, lambda inner: st.tuples(inner, inner), max_leaves=4)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=4),
        st.dictionaries(st.sampled_from(["a", "$set", "$dict", "$item", ""]), inner),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, database=None)
@given(values)
def test_any_value_comes_back_equal_and_of_its_type(value):
    assert same(round_trip(value), value)


@settings(max_examples=40, deadline=None, database=None)
@given(values)
def test_what_comes_back_is_written_the_same_way_again(value):
    text = CODEC.encode_value(value)
    assert CODEC.encode_value(CODEC.decode_value(text)) == text


@settings(max_examples=40, deadline=None, database=None)
@given(values)
def test_the_text_is_json(value):
    assert json.loads(CODEC.encode_value(value)) is not NotImplemented


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**70),
        10**5000,
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        "a\ud800b",
        "\ud83d\ude00",
        "\x00",
        "$19.99",
        b"text",
        b"\xff\x00",
        bytearray(b"\xff"),
        (),
        (1, (2,)),
        {1, "a", None},
        frozenset({(1, 2)}),
        {1: "a", "1": "b", None: "c", (1, 2): "d"},
        {"\ud800": 1},
        {"$set": [1]},
        {"a": {"$": {"$dict": {}}}},
        datetime(2024, 2, 29, 12, 30, 1, 5),
        datetime(2024, 1, 1, tzinfo=timezone.utc),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, seconds=7))),
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris")),
        date(2024, 1, 1),
        clock(1, 2, 3, 4),
        clock(1, tzinfo=ZoneInfo("Europe/Paris")),
        timedelta(days=-1, microseconds=3),
        Decimal("1.500"),
        Decimal("-sNaN12"),
        Fraction(1, 3),
        complex(-0.0, math.inf),
        uuid.UUID(int=7),
        range(1, 10, 3),
        Colour.GREEN,
        Level.LOW,
        Rights.READ | Rights.WRITE,
        Rights(0),
        Point(1, [2]),
        urlparse("http://a.com/b?c#d"),
        collections.OrderedDict([("b", 1), (2, 3)]),
        collections.Counter({"a": 3, "b": -1}),
        Path("a/b"),
        PurePosixPath("/a"),
        PureWindowsPath("c:\\a"),
        re.compile("(?i)a", re.MULTILINE),
        re.compile(b"a"),
        ipaddress.ip_address("1.2.3.4"),
        ipaddress.ip_address("fe80::1%eth0"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_interface("1.2.3.4/24"),
        types.SimpleNamespace(a=1, b=(2,)),
        Colour,
        int,
        function,
        Tools.make,
        Headers({"A": ["1", b"\xff"]}, encoding="latin-1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_a_known_type_comes_back_the_same(value):
    assert same(round_trip([value]), [value])


def test_deques_keep_their_length_limit():
    back = round_trip(collections.deque([1, (2,)], maxlen=5))
    assert (list(back), back.maxlen) == ([1, (2,)], 5)
    assert round_trip(collections.deque()).maxlen is None


def test_defaultdicts_keep_their_factory():
    back = round_trip(collections.defaultdict(list, {"a": [1]}))
    assert back == {"a": [1]}
    assert back.default_factory is list
    assert "default_factory" in error(collections.defaultdict(lambda: 1))


def test_the_fold_of_a_repeated_hour_is_kept():
    back = round_trip(datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")))
    assert back.utcoffset() == timedelta(hours=1)
    assert round_trip(clock(2, fold=1)).fold == 1


def test_a_fixed_zone_keeps_its_name():
    zone = timezone(timedelta(hours=1), "CET")
    assert round_trip(zone).tzname(None) == "CET"
    assert round_trip(datetime(2024, 1, 1, tzinfo=zone)).tzname() == "CET"


def test_zones_of_dateutil_come_back():
    tz = pytest.importorskip("dateutil.tz")
    moment = datetime(2024, 1, 1, tzinfo=tz.tzutc())
    assert isinstance(round_trip(moment).tzinfo, tz.tzutc)
    zone = tz.tzoffset("CET", 3600)
    assert round_trip(zone) == zone


def test_the_utc_of_pytz_comes_back():
    assert round_trip(datetime(2024, 1, 1, tzinfo=pytz.utc)).tzinfo is pytz.utc


@pytest.mark.parametrize(
    "text",
    [
        '{"$zone":"NAME","arguments":["a"]}',
        '{"$enum":"NAME","name":"a","value":"a"}',
        '{"$item":"NAME","fields":{"calls":"a"}}',
        '{"$namedtuple":"NAME","fields":{}}',
        '{"$codec":"NAME","value":"a"}',
    ],
)
def test_a_forged_record_calls_and_makes_nothing_that_it_names(text):
    with pytest.raises((StoreDamagedError, CallbackMissingError)):
        CODEC.decode_value(text.replace("NAME", f"{__name__}:Trap"))
    assert Trap.calls == 0


def test_a_zone_that_is_not_installed_is_named_and_left_out_for_lenient_readers():
    moment = datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))
    text = CODEC.encode_value(moment).replace("Europe/Paris", "Moon/Base")
    with pytest.raises(CallbackMissingError, match="Moon/Base"):
        CODEC.decode_value(text)
    assert CODEC.decode_item(text, lenient=True) == datetime(2024, 1, 1)


def test_an_enum_alias_and_a_member_with_an_unwritable_value_come_back():
    assert round_trip(Colour.CRIMSON) is Colour.RED
    assert round_trip(Colour.OPAQUE) is Colour.OPAQUE


def test_an_enum_member_that_was_renamed_is_found_by_its_value():
    text = CODEC.encode_value(Level.LOW).replace("LOW", "LOWEST")
    assert CODEC.decode_value(text) is Level.LOW


def test_an_enum_member_that_is_gone_is_named():
    text = CODEC.encode_value(Level.LOW).replace("LOW", "HIGH").replace('"value":1', '"value":9')
    with pytest.raises(CallbackMissingError, match=r"Level\.HIGH"):
        CODEC.decode_value(text)


def test_plain_values_are_their_plain_json():
    assert CODEC.encode_value({"a": [1, 2.5, None, True, "é"]}) == '{"a":[1,2.5,null,true,"é"]}'
    assert CODEC.encode_value("$5") == '"$5"'


def test_tags_are_readable():
    assert CODEC.encode_value(Decimal("9.50")) == '{"$decimal":"9.50"}'
    assert CODEC.encode_value((1,)) == '{"$tuple":[1]}'
    assert CODEC.encode_value(b"abc") == '{"$bytes":"abc"}'
    assert CODEC.encode_value({1: 2}) == '{"$dict":[[1,2]]}'
    assert (
        CODEC.encode_value(datetime(2024, 1, 1, tzinfo=timezone.utc))
        == '{"$datetime":"2024-01-01T00:00:00+00:00"}'
    )


def test_a_set_is_written_alike_in_every_process():
    program = "from scrapy_resume.codec import Codec; print(Codec().encode_value(set('abcdefgh')))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == CODEC.encode_value(set("abcdefgh"))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (threading.Lock(), "lock"),
        (object(), "object"),
        (Plain(), "Plain"),
        (Text("a"), "Text"),
        (Table(), "Table"),
        (Loose(1), None),
        (iter([]), "list_iterator"),
        (memoryview(b""), "memoryview"),
        (ValueError(), "ValueError"),
        (lambda: 1, "lambda"),
        (partial(print), "partial"),
        (time.gmtime(), "struct_time"),
        (Plain().__init__, None),
    ],
)
def test_values_of_unknown_types_are_refused_by_name(value, name):
    if isinstance(value, Loose):
        value.extra = 1
    message = error({"a": [value]})
    assert message.startswith("value['a'][0]")
    assert name is None or name in message


def test_a_refusal_says_where_the_value_is():
    message = error({"x": [0, 1, 2, {"y": (threading.Lock(),)}]})
    assert message.startswith("value['x'][3]['y'][0] is a _thread.lock")
    assert "RESUME_CODECS" in message


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (Response("http://a.com"), "text"),
        (HtmlResponse("http://a.com", body=b""), "text"),
        (Selector("<a/>"), r"\.get\(\)"),
        (Spider("x"), "self"),
    ],
)
def test_well_known_unrecordable_types_come_with_a_remedy(value, remedy):
    assert re.search(remedy, error([value]))


def test_attributes_of_a_counter_are_not_lost():
    counter = collections.Counter("aab")
    counter.note = "x"
    assert "note" in error(counter)


def test_classes_without_a_path_are_refused():
    class Local:
        pass

    assert "inside a function" in error(Local)
    assert "another object" in error(type("Point", (), {"__module__": __name__}))
    assert "cannot be found" in error(type("Nowhere", (), {"__module__": __name__}))


def test_a_cycle_is_refused():
    ring = [1]
    ring.append(ring)
    assert "refers to itself" in error(ring)
    mapping = {}
    mapping["self"] = (mapping, mapping)
    assert "refers to itself" in error(mapping)


def test_very_deep_nesting_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "too deeply" in error(deep)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}])
def test_deep_nesting_that_is_written_can_be_read_too(wrap):
    value, recorded = 1, 0
    for depth in range(300):
        value = wrap(value)
        try:
            text = CODEC.encode_value(value)
        except NotRecordableError:
            break
        assert CODEC.decode_value(text) == value
        recorded = depth
    assert recorded >= 190


def test_a_value_shared_twice_is_written_twice():
    part = [1]
    assert round_trip({"a": part, "b": part}) == {"a": [1], "b": [1]}


def test_broken_text_is_an_error_of_the_store():
    for text in ("", "{", '{"$unknown":1}', '{"$decimal":"x"}', '{"$tuple":3}'):
        with pytest.raises(StoreDamagedError):
            CODEC.decode_value(text)


def test_a_class_that_no_longer_exists_is_named():
    with pytest.raises(CallbackMissingError, match="shop_gone:Book"):
        CODEC.decode_value('{"$class":"shop_gone:Book"}')
    with pytest.raises(CallbackMissingError, match="is not a class now"):
        CODEC.decode_value(f'{{"$class":"{__name__}:function"}}')


def test_a_named_tuple_with_other_fields_now_is_named():
    text = CODEC.encode_value(Point(1, 2)).replace('"y"', '"z"')
    with pytest.raises(CallbackMissingError, match="Point"):
        CODEC.decode_value(text)
