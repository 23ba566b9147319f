"""Callbacks are found again by name, or refused."""

from __future__ import annotations

import functools
import types

import pytest
from scrapy import Request, Spider
from scrapy.http.request import NO_CALLBACK

from scrapy_resume.codec import Codec
from scrapy_resume.errors import CallbackMissingError, NotRecordableError

URL = "http://a.com/"


def bare(method):
    return lambda self, response: method(self, response)


def wrapped(method):
    @functools.wraps(method)
    def wrapper(self, response):
        return method(self, response)

    return wrapper


def parse_anywhere(response):
    pass


class Elsewhere:
    @staticmethod
    def parse_static(response):
        pass

    @classmethod
    def parse_class(cls, response):
        pass

    def parse(self, response):
        pass

    def __call__(self, response):
        pass


class Child(Elsewhere):
    pass


class Base(Spider):
    name = "base"

    def parse(self, response):
        pass

    def parse_inherited(self, response):
        pass

    def __parse_private(self, response):
        pass

    def private_of_base(self):
        return self.__parse_private


class Shop(Base):
    name = "shop"

    def parse(self, response):
        pass

    def parse_of_base(self):
        return super().parse

    def __parse_private(self, response):
        pass

    def private(self):
        return self.__parse_private

    @staticmethod
    def parse_static(response):
        pass

    @classmethod
    def parse_class(cls, response):
        pass

    @wrapped
    def parse_wrapped(self, response):
        pass

    @bare
    def parse_bare(self, response):
        pass

    parse_alias = parse_anywhere
    parse_named_lambda = staticmethod(lambda response: None)

    @property
    def trap(self):
        raise AssertionError("a property must not be asked for")


@pytest.fixture
def spider():
    return Shop()


@pytest.fixture
def codec(spider):
    return Codec(spider)


def error(codec, callback):
    with pytest.raises(NotRecordableError) as caught:
        codec.encode_request(Request(URL, callback=callback))
    return str(caught.value)


@pytest.mark.parametrize(
    ("choose", "name"),
    [
        (lambda spider: spider.parse, "parse"),
        (lambda spider: spider.parse_inherited, "parse_inherited"),
        (lambda spider: spider.private(), "_Shop__parse_private"),
        (lambda spider: spider.private_of_base(), "_Base__parse_private"),
        (lambda spider: spider.parse_static, "parse_static"),
        (lambda spider: spider.parse_class, "parse_class"),
        (lambda spider: spider.parse_wrapped, "parse_wrapped"),
        (lambda spider: spider.parse_bare, "parse_bare"),
        (lambda spider: spider.parse_alias, "parse_alias"),
        (lambda spider: spider.parse_named_lambda, "parse_named_lambda"),
        (lambda spider: spider.parse_of_base(), f"method:{__name__}:Base.parse"),
        (lambda spider: parse_anywhere, f"function:{__name__}:parse_anywhere"),
        (lambda spider: Elsewhere.parse_static, f"function:{__name__}:Elsewhere.parse_static"),
        (lambda spider: Elsewhere.parse_class, f"function:{__name__}:Elsewhere.parse_class"),
        (lambda spider: Child.parse_class, f"function:{__name__}:Child.parse_class"),
        (lambda spider: NO_CALLBACK, "function:scrapy.http.request:NO_CALLBACK"),
    ],
)
def test_a_callback_is_found_again_by_its_name(codec, spider, choose, name):
    request = Request(URL, callback=choose(spider), errback=choose(spider))
    payload = codec.encode_request(request)
    assert payload == f'{{"callback":"{name}","errback":"{name}"}}'
    back = codec.decode_request(URL, payload)
    assert back.callback == choose(spider)
    assert back.errback == choose(spider)


def test_no_callback_at_all_stays_none(codec):
    assert codec.decode_request(URL, codec.encode_request(Request(URL))).callback is None


def test_the_sentinel_for_no_callback_stays_the_same_object(codec):
    payload = codec.encode_request(Request(URL, callback=NO_CALLBACK))
    assert codec.decode_request(URL, payload).callback is NO_CALLBACK


def test_another_process_finds_the_methods_of_its_own_spider(codec, spider):
    payload = codec.encode_request(Request(URL, callback=spider.parse_of_base()))
    other = Shop()
    assert Codec(other).decode_request(URL, payload).callback == other.parse_of_base()


@pytest.mark.parametrize(
    ("callback", "reason"),
    [
        (lambda response: None, "lambda"),
        (functools.partial(parse_anywhere), "cb_kwargs"),
        (Elsewhere().parse, "Elsewhere"),
        (Elsewhere(), "Elsewhere"),
        (Base().parse, "not the running spider"),
        (wrapped(parse_anywhere), "another object"),
    ],
)
def test_callables_without_a_lasting_name_are_refused(codec, callback, reason):
    message = error(codec, callback)
    assert message.startswith("callback is")
    assert reason in message


def test_a_closure_is_refused(codec):
    def parse(response):
        pass

    assert "inside a function" in error(codec, parse)


def test_an_errback_that_is_refused_is_called_errback(codec):
    with pytest.raises(NotRecordableError, match=r"^errback is a lambda"):
        codec.encode_request(Request(URL, errback=lambda failure: None))


def test_what_was_set_on_the_instance_is_refused(codec, spider):
    spider.parse_late = lambda response: None
    assert "lambda" in error(codec, spider.parse_late)
    spider.parse_inherited = types.MethodType(lambda self, response: None, spider)
    assert "lambda" in error(codec, spider.parse_inherited)


def test_a_name_that_leads_elsewhere_by_now_is_refused(codec, spider, monkeypatch):
    before = spider.parse_static
    assert codec.encode_request(Request(URL, callback=before)) == '{"callback":"parse_static"}'
    monkeypatch.setattr(Shop, "parse_static", staticmethod(lambda response: None))
    assert "another object" in error(codec, before)


def test_an_attribute_of_the_instance_that_is_an_ordinary_method_is_recorded(codec, spider):
    spider.choice = spider.parse_inherited
    payload = codec.encode_request(Request(URL, callback=spider.choice))
    assert payload == '{"callback":"parse_inherited"}'


def test_a_callback_that_no_longer_exists_is_named(codec):
    with pytest.raises(CallbackMissingError, match="'parse_gone'"):
        codec.decode_request(URL, '{"callback":"parse_gone"}')
    with pytest.raises(CallbackMissingError, match="'name'"):
        codec.decode_request(URL, '{"callback":"name"}')
    with pytest.raises(CallbackMissingError, match="shop_gone:parse"):
        codec.decode_request(URL, '{"callback":"function:shop_gone:parse"}')
    with pytest.raises(CallbackMissingError, match="URL"):
        codec.decode_request(URL, f'{{"callback":"function:{__name__}:URL"}}')


def test_without_a_spider_its_methods_are_refused_and_missing(spider):
    codec = Codec()
    assert "not the running spider" in error(codec, spider.parse)
    with pytest.raises(CallbackMissingError, match="'parse'"):
        codec.decode_request(URL, '{"callback":"parse"}')
    with pytest.raises(CallbackMissingError):
        codec.decode_request(URL, f'{{"callback":"method:{__name__}:Base.parse"}}')
