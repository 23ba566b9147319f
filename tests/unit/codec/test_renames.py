"""Names that the code no longer has: what is near them, and ``RESUME_RENAMED``."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from scrapy import Field, Item, Request, Spider
from scrapy.http import Response
from scrapy.spiders import SitemapSpider

from scrapy_resume.codec import Codec
from scrapy_resume.codec.callables import Callables
from scrapy_resume.codec.trust import Trust
from scrapy_resume.errors import CallbackMissingError, ConfigurationError

URL = "http://site/1"
HERE = __name__
PACKAGE = HERE.partition(".")[0]


class Product(Item):
    title = Field()


@dataclass
class Price:
    amount: int


def parse_product(response: Any) -> None:
    """Stands for a function that was ``parse_book`` of another module."""


class Shop(Spider):
    name = "shop"

    def parse_listing(self, response: Any) -> None:
        pass

    def parse_page(self, response: Any) -> None:
        pass

    def on_error(self, failure: Any) -> None:
        pass


class Sitemap(SitemapSpider):
    name = "sitemap"
    sitemap_rules = (("/product/", "parse_product"),)

    def parse_product(self, response: Any) -> None:
        pass


def decoded(payload: dict[str, Any], spider: Spider | None = None, **renamed: str) -> Request:
    codec = Codec(
        spider or Shop(), renamed={old.replace("__", "."): n for old, n in renamed.items()}
    )
    return codec.decode_request(URL, json.dumps(payload))


def test_callbacks_and_errbacks_are_found_under_their_new_names() -> None:
    spider = Shop()
    request = decoded(
        {"callback": "parse_list", "errback": "failed"},
        spider,
        parse_list="parse_listing",
        failed="on_error",
    )
    assert (request.callback, request.errback) == (spider.parse_listing, spider.on_error)


def test_functions_and_methods_may_become_one_another() -> None:
    spider = Shop()
    to_function = decoded({"callback": "parse_book"}, spider, parse_book=f"{HERE}.parse_product")
    assert to_function.callback is parse_product
    path = {"callback": "function:shop_gone.books:parse"}
    moved = decoded(path, spider, shop_gone__books__parse=f"{HERE}.parse_product")
    assert moved.callback is parse_product
    to_method = decoded(path, spider, shop_gone__books__parse="parse_page")
    assert to_method.callback == spider.parse_page
    bound = {"callback": "method:shop_gone:Base.parse_page"}
    method = decoded(bound, spider, shop_gone__Base__parse_page=f"{HERE}.Shop.parse_page")
    assert method.callback == spider.parse_page


def test_classes_of_items_and_values_are_found_under_their_new_names() -> None:
    codec = Codec(
        Shop(), renamed={"gone.items.Book": f"{HERE}.Product", "gone.Cost": f"{HERE}.Price"}
    )
    item = codec.decode_item('{"$item":"gone.items:Book","fields":{"title":"Emma"}}')
    assert (type(item), dict(item)) == (Product, {"title": "Emma"})
    assert codec.decode_value('{"$item":"gone:Cost","fields":{"amount":1}}') == Price(1)
    assert codec.decode_value('{"$class":"gone:Cost"}') is Price


def test_readers_without_a_spider_find_items_and_ignore_the_rest() -> None:
    names = {"gone.Book": f"{HERE}.Product", "parse_old": "parse_new", "gone.Cost": "gone_too.Cost"}
    codec = Codec(packages=[PACKAGE], renamed=names)
    item = codec.decode_item('{"$item":"gone:Book","fields":{"title":"Emma"}}', lenient=True)
    assert type(item) is Product


def test_a_request_without_a_callback_names_parse() -> None:
    class Parsing(Shop):
        def parse(self, response: Any) -> None:
            pass

    assert Codec(Parsing()).encode_request(Request(URL)) == "{}"
    with pytest.raises(CallbackMissingError, match="'parse'") as missing:
        decoded({})
    assert (missing.value.name, missing.value.park) == ("parse", True)
    spider = Shop()
    assert decoded({}, spider, parse="parse_page").callback == spider.parse_page


def test_a_spider_that_never_had_parse_gets_what_plain_scrapy_gives() -> None:
    spider = Shop()
    codec = Codec(spider)
    for request in (Request(URL), Request(URL, spider.parse)):
        restored = codec.decode_request(URL, codec.encode_request(request))
        assert restored.callback is not None
        with pytest.raises(NotImplementedError):
            restored.callback(None)


def test_a_callback_of_a_sitemap_is_missing_by_its_name() -> None:
    spider = Sitemap()
    payload = Codec(spider).encode_request(Request(URL, spider.parse_product))
    other = {"callback": json.loads(payload)["callback"].replace("product", "prodct")}
    with pytest.raises(CallbackMissingError, match="Near it: 'parse_product'"):
        decoded(other, spider)
    assert decoded(other, spider, parse_prodct="parse_product").callback == spider.parse_product


def test_what_is_near_a_missing_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = ModuleType(f"{HERE}_moved")
    moved.Product = type("Product", (Item,), {"__module__": moved.__name__})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, moved.__name__, moved)
    codec = Codec(Shop(), packages=[PACKAGE, moved.__name__])
    with pytest.raises(CallbackMissingError, match="Near it: 'parse_listing'"):
        codec.decode_request(URL, '{"callback":"parse_listings"}')
    with pytest.raises(CallbackMissingError, match=f"'{HERE}.Product'"):
        codec.decode_item(f'{{"$item":"{HERE}:Produkt","fields":{{}}}}')
    with pytest.raises(CallbackMissingError, match=f"'{moved.__name__}.Product'"):
        codec.decode_item(
            '{"$item":"PACKAGE.gone:Product","fields":{}}'.replace("PACKAGE", PACKAGE)
        )


class Catalogue(Spider):
    name = "catalogue"

    async def start(self) -> AsyncIterator[Any]:
        yield Request(URL)

    def parse(self, response: Response) -> None: ...

    def parse_product(self, response: Response) -> None: ...


class Plain(Spider):
    name = "plain"

    def parse(self, response: Response) -> None: ...


def test_the_callback_that_most_requests_name_is_not_put_into_the_setting() -> None:
    with pytest.raises(CallbackMissingError, match=r"Near it: 'parse'.*'parse_item': 'its new"):
        Codec(Plain()).decode_request(URL, '{"callback":"parse_item"}')


@pytest.mark.parametrize(
    ("missing", "near", "suggested"),
    [
        ("parse_item", "'parse', 'parse_product'", "its new name"),
        ("parse_produkt", "'parse_product', 'parse'", "its new name"),
        ("product_page", "'parse_product'", "parse_product"),
        ("xyz", "", "its new name"),
    ],
)
def test_a_new_name_is_put_into_the_setting_only_if_nothing_else_is_near(
    missing: str, near: str, suggested: str
) -> None:
    with pytest.raises(CallbackMissingError) as raised:
        Codec(Catalogue()).decode_request(URL, f'{{"callback":"{missing}"}}')
    message = str(raised.value)
    assert (f"Near it: {near}. " in message) if near else ("Near it" not in message)
    assert message.endswith(f"RESUME_RENAMED = {{{missing!r}: {suggested!r}}}")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"parse_old": "parse_new"}, "no method 'parse_new'"),
        ({"parse_old": "parse"}, "no method 'parse'"),
        ({"gone.Book": f"{HERE}.Bok"}, "cannot be loaded"),
        ({"gone.Book": "subprocess.Popen"}, "cannot be loaded"),
        ({"parse_page": "parse_listing"}, "the code has both"),
        ({f"{HERE}.Price": f"{HERE}.Product"}, "the code has both"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(names: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Codec(Shop(), renamed=names)


def test_an_old_name_that_is_an_alias_of_the_new_one_is_allowed() -> None:
    class Aliased(Shop):
        parse_old = Shop.parse_page

    spider = Aliased()
    assert decoded({"callback": "parse_old"}, spider, parse_old="parse_page").callback == (
        spider.parse_page
    )


def test_a_rename_is_the_way_back_of_no_other_name() -> None:
    spider = Shop()
    callables = Callables(spider, Trust.in_spider(spider))
    callables.rename({"parse_list": "parse_listing"})
    assert callables.present_name("parse_listing") == "parse_listing"
    assert callables.find("parse_listing") == spider.parse_listing


def test_the_error_says_in_what_role_a_name_is_missing() -> None:
    for payload, role, park in (
        ({"callback": "parse_gone"}, "callback", True),
        ({"callback": "parse_page", "errback": "parse_gone"}, "errback", False),
        (
            {"callback": "parse_page", "meta": {"then": {"$callable": "parse_gone"}}},
            "method",
            False,
        ),
    ):
        with pytest.raises(CallbackMissingError, match=f"names the {role} 'parse_gone'") as missing:
            decoded(payload)
        assert missing.value.park == park
