"""Requests come back with the same fields, class and fingerprint."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
from importlib import import_module

import pytest
import scrapy.utils.trackref
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import FormRequest, Request, Spider
from scrapy.http import HtmlResponse, JsonRequest, XmlRpcRequest
from scrapy.http.headers import Headers
from scrapy.http.request import NO_CALLBACK
from scrapy.utils.request import fingerprint

from scrapy_resume.codec import Codec
from scrapy_resume.errors import (
    CallbackMissingError,
    NotRecordableError,
    ScrapyChangedError,
    StoreDamagedError,
)

URL = "http://a.com/x?b=1&a=%20é"


class BookSpider(Spider):
    name = "books"

    def parse(self, response):
        pass

    def parse_book(self, response):
        pass

    def fail(self, failure):
        pass


class Tagged(Request):
    attributes = (*Request.attributes, "tag")

    def __init__(self, *args, tag=None, **kwargs):
        self.tag = tag
        super().__init__(*args, **kwargs)


class Slotted(Request):
    __slots__ = ("__note", "unset")

    def __init__(self, *args, note, **kwargs):
        self.__note = note
        super().__init__(*args, **kwargs)

    @property
    def note(self):
        return self.__note


class Demanding(Request):
    """Neither its constructor nor its attribute setting would stand a second call."""

    def __init__(self, page):
        super().__init__(f"http://a.com/{page}")
        self.headers["X-Page"] = str(page)
        vars(self)["page"] = page

    def __setattr__(self, name, value):
        if name == "page":
            raise AttributeError(name)
        super().__setattr__(name, value)


def ticking():
    ticks = itertools.count()
    return property(lambda self: [str(next(ticks))], lambda self, value: None)


class Forgetful(Request):
    """Does not give back what was stored."""

    flags = _flags = ticking()


@dataclasses.dataclass
class Product:
    name: str


SPIDER = BookSpider()
CODEC = Codec(SPIDER)
FIELDS = ("url", "method", "body", "encoding", "priority", "dont_filter", "callback", "errback")
CONTAINERS = ("cookies", "meta", "cb_kwargs", "flags")


def round_trip(request, codec=CODEC):
    payload = codec.encode_request(request)
    assert isinstance(json.loads(payload), dict)
    return codec.decode_request(request.url, payload, request.priority)


def assert_same(back, request):
    assert type(back) is type(request)
    for name in FIELDS:
        assert getattr(back, name) == getattr(request, name), name
    for name in CONTAINERS:
        assert repr(getattr(back, name)) == repr(getattr(request, name)), name
    assert list(dict.items(back.headers)) == list(dict.items(request.headers))
    assert back.headers.encoding == request.headers.encoding
    assert fingerprint(back) == fingerprint(request)


def error(request, codec=CODEC):
    with pytest.raises(NotRecordableError) as caught:
        codec.encode_request(request)
    return str(caught.value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
mappings = st.none() | st.dictionaries(st.text(), plain, max_size=3)
header_values = st.lists(st.binary() | st.text(), max_size=2)
built_requests = st.builds(
    Request,
    url=st.text().map("http://a.com/{}".format),
    method=st.sampled_from(["GET", "post", "PUT"]),
    headers=st.none() | st.dictionaries(st.text(max_size=5), header_values, max_size=2),
    body=st.none() | st.binary() | st.text(),
    cookies=st.none()
    | st.dictionaries(st.text(), st.text(), max_size=2)
    | st.lists(st.dictionaries(st.sampled_from(["name", "value"]), st.text() | st.binary())),
    meta=mappings,
    cb_kwargs=mappings,
    encoding=st.sampled_from(["utf-8", "utf-16"]),
    priority=st.integers(-5, 5),
    dont_filter=st.booleans(),
    callback=st.sampled_from([None, SPIDER.parse, SPIDER.parse_book, NO_CALLBACK]),
    errback=st.sampled_from([None, SPIDER.fail]),
    flags=st.none() | st.lists(st.text(), max_size=2),
)


@settings(max_examples=60, deadline=None, database=None)
@given(built_requests)
def test_any_request_comes_back_the_same_with_its_fingerprint(request):
    back = round_trip(request)
    assert_same(back, request)
    assert CODEC.encode_request(back) == CODEC.encode_request(request)


def test_a_plain_payload_has_only_what_differs():
    request = Request(URL, callback=SPIDER.parse_book, meta={"depth": 2}, priority=3)
    assert CODEC.encode_request(request) == '{"callback":"parse_book","meta":{"depth":2}}'
    assert CODEC.encode_request(Request(URL)) == "{}"


def test_a_full_payload_is_readable():
    request = Request(
        URL,
        callback=SPIDER.parse,
        errback=SPIDER.fail,
        method="POST",
        headers={"Accept": ["a", "b"], "X-Name": "é".encode("latin-1")},
        body='{"q": "é"}',
        cookies={"session": "1"},
        cb_kwargs={"page": (1, 2)},
        dont_filter=True,
        flags=["new"],
    )
    assert json.loads(CODEC.encode_request(request)) == {
        "callback": "parse",
        "errback": "fail",
        "method": "POST",
        "headers": {"Accept": ["a", "b"], "X-Name": "é"},
        "body": '{"q": "é"}',
        "cookies": {"session": "1"},
        "cb_kwargs": {"page": {"$tuple": [1, 2]}},
        "dont_filter": True,
        "flags": ["new"],
    }
    assert_same(round_trip(request), request)


def test_the_url_comes_back_verbatim():
    request = Request(URL)
    for url in (request.url, "http://a.com/ü b", "http://a.com/%zz"):
        assert CODEC.decode_request(url, "{}").url == url


def test_a_body_that_is_not_text_comes_back():
    request = Request(URL, body=b"\xff\x00$")
    assert '{"$base64":' in CODEC.encode_request(request)
    assert round_trip(request).body == b"\xff\x00$"


def test_encoding_a_request_does_not_change_it():
    request = Request(URL, meta={"a": (1,)}, headers={"A": "b"})
    before = (dict(request.meta), request.headers.copy(), request.body)
    CODEC.encode_request(request)
    assert (request.meta, request.headers, request.body) == before
    assert type(request.meta["a"]) is tuple


def test_restored_requests_share_nothing():
    first, second = (CODEC.decode_request(URL, "{}") for _ in range(2))
    first.meta["a"] = first.cb_kwargs["a"] = first.cookies["a"] = 1
    first.flags.append("a")
    first.headers["A"] = "b"
    assert_same(second, CODEC.decode_request(URL, "{}"))
    assert not any((second.meta, second.cb_kwargs, second.cookies, second.flags, second.headers))


def test_a_restored_request_can_be_copied_and_replaced():
    back = round_trip(Request("http://a.com/", meta={"a": 1}, headers={"A": "b"}))
    other = back.replace(url="http://b.com/")
    assert (other.meta, other.headers["A"]) == ({"a": 1}, b"b")


def test_restored_requests_count_as_live_references():
    back = round_trip(Request(URL))
    assert any(one is back for one in scrapy.utils.trackref.iter_all("Request"))


def test_meta_keys_that_look_like_tags_come_back():
    meta = {"$set": [1], "a": {"$dict": 1}, "price": "$5"}
    assert round_trip(Request(URL, meta=meta)).meta == meta


def test_headers_that_look_like_tags_come_back():
    request = Request(URL, headers={"$Set": "$1"}, meta={"a": (1,)})
    assert_same(round_trip(request), request)


def test_headers_keep_their_order_and_their_own_encoding():
    request = Request(URL)
    request.headers = Headers([("B", "1"), ("A", "2"), ("B", "3")], encoding="latin-1")
    assert_same(round_trip(request), request)
    request.headers.clear()
    assert round_trip(request).headers.encoding == "latin-1"


def test_a_request_within_a_request_comes_back():
    inner = Request("http://b.com/é", callback=SPIDER.parse_book, priority=4, meta={"$a": (1,)})
    back = round_trip(Request(URL, meta={"next": inner, "later": [inner]}))
    assert_same(back.meta["next"], inner)
    assert_same(back.meta["later"][0], inner)


def test_items_and_methods_in_meta_come_back():
    meta = {"item": Product("a"), "then": SPIDER.parse_book, "kind": Product, "headers": Headers()}
    assert round_trip(Request(URL, meta=meta)).meta == meta


@pytest.mark.parametrize(
    "request_",
    [
        FormRequest(URL, formdata={"a": "é"}, callback=SPIDER.parse),
        FormRequest("http://a.com", method="GET", formdata={"a": "b"}),
        JsonRequest(URL, data={"b": 1, "a": 2}, dumps_kwargs={"sort_keys": False}),
        XmlRpcRequest(URL, methodname="call", params=(1,)),
        Tagged(URL, tag=("a", 1), meta={"b": 1}),
        Slotted(URL, note=[1]),
        Demanding(3),
    ],
    ids=lambda request: type(request).__name__,
)
def test_requests_of_other_classes_come_back_the_same(request_):
    back = round_trip(request_)
    assert_same(back, request_)
    for name in type(request_).attributes:
        assert getattr(back, name) == getattr(request_, name)
    assert CODEC.encode_request(back) == CODEC.encode_request(request_)


def test_extra_attributes_of_a_request_are_kept():
    json_request = JsonRequest(URL, data={"b": 1}, dumps_kwargs={"indent": 1})
    assert round_trip(json_request).replace(data={"a": 1}).body == b'{\n "a": 1\n}'
    tagged = Tagged(URL, tag=1)
    tagged.later = (2,)
    assert round_trip(tagged).later == (2,)
    assert round_trip(Slotted(URL, note="x")).note == "x"
    assert not hasattr(round_trip(Slotted(URL, note="x")), "unset")
    assert round_trip(Demanding(3)).page == 3


def test_extra_attributes_that_cannot_be_written_are_refused():
    tagged = Tagged(URL, tag=threading.Lock())
    assert error(tagged).startswith("attributes['tag'] is a _thread.lock")


def test_a_class_that_does_not_come_back_the_same_is_refused():
    assert "would not come back the same" in error(Forgetful(URL), Codec(SPIDER))


def test_a_request_of_a_local_class_is_refused():
    class Local(Request):
        pass

    assert "inside a function" in error(Local(URL))


def test_a_request_class_that_no_longer_exists_is_named():
    payload = CODEC.encode_request(Tagged(URL)).replace(__name__, "shop_gone")
    with pytest.raises(CallbackMissingError, match="shop_gone:Tagged"):
        CODEC.decode_request(URL, payload)
    with pytest.raises(CallbackMissingError, match="not a request class"):
        CODEC.decode_request(URL, f'{{"class":"{__name__}:Product"}}')


def test_a_refusal_names_field_place_and_type():
    lock = threading.Lock()
    assert error(Request(URL, meta={"x": [0, 1, 2, lock]})).startswith(
        "meta['x'][3] is a _thread.lock, "
    )
    assert error(Request(URL, cb_kwargs={"a": lock})).startswith("cb_kwargs['a'] is")
    assert error(Request(URL, flags=[lock])).startswith("flags[0] is")
    assert error(Request(URL, meta={"item": Product(lock)})).startswith("meta['item'].name is")
    inner = Request(URL, meta={"y": lock})
    assert error(Request(URL, meta={"next": inner})).startswith("meta['next'].meta['y'] is")


def test_a_response_in_meta_is_refused_with_a_remedy():
    response = HtmlResponse("http://a.com", body=b"")
    message = error(Request(URL, meta={"page": response}))
    assert message.startswith("meta['page'] is a scrapy.http.response.html.HtmlResponse")
    assert "text" in message


def test_a_request_that_leads_to_itself_is_refused():
    request = Request(URL)
    request.meta["next"] = request
    assert "refers to itself" in error(request)


def test_headers_that_are_not_scrapys_are_refused():
    request = Request(URL)
    dict.__setitem__(request.headers, b"A", "text")
    assert "headers" in error(request)
    request = Request(URL)
    setattr(request, "_headers" if hasattr(Request, "_headers") else "headers", {"A": "b"})
    assert "is a dict and not Scrapy's own Headers" in error(request)


def test_values_of_the_script_itself_are_refused_in_requests(monkeypatch):
    main = import_module("__main__")
    monkeypatch.setattr(main, "Product", Product, raising=False)
    monkeypatch.setattr(Product, "__module__", "__main__")
    assert "__main__" in error(Request(URL, meta={"a": Product("x")}), Codec(SPIDER))


def test_a_payload_that_is_not_a_request_is_an_error_of_the_store():
    for payload in ("", "[]", "3", '{"unheard":1}', '{"callback":5}', '{"body":{"$base64":"?"}}'):
        with pytest.raises(StoreDamagedError):
            CODEC.decode_request(URL, payload)


def test_a_scrapy_that_keeps_requests_elsewhere_is_refused_at_once(monkeypatch):
    module = import_module("scrapy_resume.codec.requests")
    monkeypatch.setattr(module, "_KNOWN", module._KNOWN | {"_gone"})
    with pytest.raises(ScrapyChangedError, match="_gone"):
        Codec()


def test_the_format_has_a_version():
    assert Codec.CODEC_VERSION == 1
