"""RESUME_CODECS: values of the user's types, written and read by the user's code."""

from __future__ import annotations

import sys
from decimal import Decimal

import pytest
from scrapy import Request

from scrapy_resume.codec import Codec
from scrapy_resume.errors import (
    CallbackMissingError,
    ConfigurationError,
    ItemNotRecordableError,
    NotRecordableError,
)

HERE = __name__
URL = "http://a.com/"


class Money:
    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency

    def __eq__(self, other):
        return vars(self) == vars(other)

    __hash__ = None


class Tip(Money):
    pass


class Strange(Request):
    def __init__(self, url, lock):
        super().__init__(url)
        self.lock = lock


class MoneyCodec:
    def encode(self, value):
        return (value.amount, value.currency)

    def decode(self, value):
        return Money(*value)


class StaticCodec:
    @staticmethod
    def encode(value):
        return vars(value)

    @staticmethod
    def decode(value):
        return Money(**value)


class EuroCodec:
    def encode(self, value):
        return f"{value} €"

    def decode(self, value):
        return Decimal(value.split()[0])


class FailingCodec(StaticCodec):
    @staticmethod
    def encode(value):
        raise KeyError("out of order")


class UnreadableCodec(StaticCodec):
    @staticmethod
    def decode(value):
        raise KeyError("out of order")


class StrangeCodec:
    def encode(self, value):
        return value.url

    def decode(self, value):
        return Strange(value, object())


class Needy:
    def __init__(self, argument):
        pass


def encode(value):
    return [value.amount, value.currency]


def decode(value):
    return Money(*value)


an_instance = MoneyCodec()


@pytest.mark.parametrize(
    "codec", [f"{HERE}.MoneyCodec", f"{HERE}:StaticCodec", f"{HERE}.an_instance", HERE]
)
def test_a_codec_may_be_a_class_an_object_or_a_module(codec):
    money = Money(5, "EUR")
    by_codec = Codec(codecs={f"{HERE}.Money": codec})
    assert by_codec.decode_item(by_codec.encode_item({"price": money})) == {"price": money}
    payload = by_codec.encode_request(Request(URL, meta={"price": [money]}))
    assert by_codec.decode_request(URL, payload).meta == {"price": [money]}


def test_a_codec_and_its_type_may_be_given_themselves():
    codec = Codec(codecs={Money: MoneyCodec})
    assert codec.decode_value(codec.encode_value(Money(1, "x"))) == Money(1, "x")


def test_the_text_names_the_type():
    codec = Codec(codecs={f"{HERE}.Money": f"{HERE}.MoneyCodec"})
    assert codec.encode_value(Money(5, "EUR")) == (
        f'{{"$codec":"{HERE}.Money","value":{{"$tuple":[5,"EUR"]}}}}'
    )


def test_a_subclass_of_a_registered_type_is_not_taken_for_it():
    codec = Codec(codecs={f"{HERE}.Money": f"{HERE}.MoneyCodec"})
    with pytest.raises(ItemNotRecordableError, match="Tip"):
        codec.encode_item({"tip": Tip(1, "EUR")})


def test_a_registered_type_may_be_one_the_codec_knows():
    codec = Codec(codecs={"decimal.Decimal": f"{HERE}.EuroCodec"})
    assert codec.encode_value(Decimal("1.50")) == '{"$codec":"decimal.Decimal","value":"1.50 €"}'
    assert codec.decode_value(codec.encode_value(Decimal("1.50"))) == Decimal("1.50")


def test_a_registered_request_class_is_written_by_its_codec():
    codec = Codec(codecs={f"{HERE}.Strange": f"{HERE}.StrangeCodec"})
    payload = codec.encode_request(Strange(URL, object()))
    back = codec.decode_request(URL, payload, 7)
    assert (type(back), back.url, back.priority) == (Strange, URL, 7)


def test_a_failing_codec_is_a_refusal():
    codec = Codec(codecs={f"{HERE}.Money": f"{HERE}.FailingCodec"})
    with pytest.raises(NotRecordableError, match="out of order"):
        codec.encode_request(Request(URL, meta={"price": Money(1, "x")}))
    with pytest.raises(ItemNotRecordableError, match=r"item\['price'\].*out of order"):
        codec.encode_item({"price": Money(1, "x")})


def test_a_codec_that_is_gone_or_cannot_read_is_named():
    codecs = {f"{HERE}.Money": f"{HERE}.UnreadableCodec"}
    text = Codec(codecs=codecs).encode_item(Money(1, "x"))
    with pytest.raises(CallbackMissingError, match=f"{HERE}.Money"):
        Codec(codecs=codecs).decode_item(text)
    with pytest.raises(CallbackMissingError, match="RESUME_CODECS"):
        Codec().decode_item(text)


def test_without_the_codec_a_lenient_reader_gets_what_it_wrote():
    text = Codec(codecs={f"{HERE}.Money": f"{HERE}.StaticCodec"}).encode_item(Money(1, "x"))
    assert Codec().decode_item(text, lenient=True) == {"amount": 1, "currency": "x"}


@pytest.mark.parametrize(
    ("type_path", "codec_path", "named"),
    [
        ("nowhere.Money", f"{HERE}.MoneyCodec", "nowhere.Money"),
        ("Money", f"{HERE}.MoneyCodec", "'Money'"),
        (f"{HERE}.encode", f"{HERE}.MoneyCodec", "not a type"),
        ("builtins.dict", f"{HERE}.MoneyCodec", "builtins.dict"),
        (f"{HERE}.Money", f"{HERE}.GoneCodec", "GoneCodec"),
        (f"{HERE}.Money", f"{HERE}:GoneCodec", "GoneCodec"),
        (f"{HERE}.Money", f"{HERE}.Money", "encode"),
        (f"{HERE}.Money", f"{HERE}.Needy", "Needy"),
    ],
)
def test_a_useless_path_is_a_configuration_error_that_names_the_setting(
    type_path, codec_path, named
):
    assert HERE in sys.modules
    with pytest.raises(ConfigurationError, match="RESUME_CODECS") as caught:
        Codec(codecs={type_path: codec_path})
    assert named in str(caught.value)
