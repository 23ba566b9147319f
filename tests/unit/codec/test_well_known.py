"""Values of packages that many use. The real packages are tried in ``tests/ecosystem``; here stand
modules of their names, written as theirs are."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import pytest
from itemloaders.processors import TakeFirst
from scrapy import Field, Item, Request, Selector, Spider
from scrapy.http import HtmlResponse
from scrapy.loader import ItemLoader

from scrapy_resume.codec import Codec
from scrapy_resume.errors import CallbackMissingError, NotRecordableError

PAGE = """
    class PageMethod:
        def __init__(self, method, *args, **kwargs):
            self.method = method
            self.args = args
            self.kwargs = kwargs
            self.result = None
"""

CONDITIONS = """
    def title_is(title):
        def _predicate(driver):
            return driver.title == title
        return _predicate

    def element_to_be_clickable(mark):
        def _predicate(driver):
            return (driver, mark)
        return _predicate

    def any_of(*expected_conditions):
        def any_of_condition(driver):
            return [one(driver) for one in expected_conditions]
        return any_of_condition

    def url_changes(url):
        before = url.lower()
        def _predicate(driver):
            return driver != before
        return _predicate
"""

EC = "selenium.webdriver.support.expected_conditions"


def install(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> Any:
    module: Any = types.ModuleType(name)
    exec(dedent(source), module.__dict__)
    parts = name.split(".")
    for end in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(parts[0]))
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture(params=["scrapy_playwright.page", "scrapy_camoufox.page"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    return install(monkeypatch, request.param, PAGE)


@pytest.fixture
def conditions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    return install(monkeypatch, EC, CONDITIONS)


class Books(Spider):
    name = "books"

    def parse(self, response: Any) -> None: ...

    async def scroll(self, page: Any, steps: int) -> int:
        return steps


async def click_all(page: Any) -> str:
    return "clicked"


def back(value: Any, spider: Spider | None = None) -> Any:
    """The value as the next process would have it."""
    codec = Codec(spider or Books())
    return codec.decode_value(codec.encode_value(value))


# ---- pages of a browser


def test_page_methods_come_back(page: Any) -> None:
    made = page.PageMethod("evaluate", "window.scrollBy(0, 100)", timeout=5, arg={"a": (1, 2)})
    (found,) = back([made])
    assert type(found) is page.PageMethod
    assert vars(found) == vars(made)


@pytest.mark.parametrize("function", ["of the spider", "of the module"])
def test_page_methods_with_functions_come_back(page: Any, function: str) -> None:
    spider = Books()
    method = spider.scroll if function == "of the spider" else click_all
    found = back(page.PageMethod(method, 3), spider)
    assert found.method == method


def test_what_a_page_gave_is_not_kept(page: Any) -> None:
    made = page.PageMethod("screenshot")
    made.result = object()
    assert back(made).result is None


def test_page_methods_are_recorded_with_their_request(page: Any) -> None:
    spider = Books()
    methods = [page.PageMethod("wait_for_selector", "div.quote")]
    meta = {"playwright": True, "playwright_page_methods": methods}
    codec = Codec(spider)
    request = Request("http://shop.example/1", callback=spider.parse, meta=meta)
    found = codec.decode_request(request.url, codec.encode_request(request))
    assert vars(found.meta["playwright_page_methods"][0]) == vars(methods[0])


def test_page_method_that_holds_what_cannot_be_serialized_is_refused_by_its_place(
    page: Any,
) -> None:
    with pytest.raises(NotRecordableError, match=r"\.args\[0\]"):
        back(page.PageMethod("evaluate", object()))
    with pytest.raises(NotRecordableError, match="lambda"):
        back(page.PageMethod(lambda page: None))


def test_package_that_is_gone_holds_the_request(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Codec(Books()).encode_value(page.PageMethod("click"))
    monkeypatch.setitem(sys.modules, page.__name__, None)
    with pytest.raises(CallbackMissingError, match=page.__name__):
        Codec(Books()).decode_value(text)


def test_no_other_class_is_named_by_a_forged_store() -> None:
    forged = '{"$known": "subprocess:Popen", "fields": {"method": "x", "args": [], "kwargs": {}}}'
    with pytest.raises(Exception, match=r"\$known"):
        Codec(Books()).decode_value(forged)


# ---- Selenium


class Driver:
    title = "Shop"


@pytest.mark.parametrize(
    ("make", "driver"),
    [
        (lambda ec: ec.title_is("Shop"), Driver()),
        (lambda ec: ec.element_to_be_clickable(("css selector", "a.next")), "driver"),
        (lambda ec: ec.any_of(ec.title_is("a"), ec.title_is("Shop")), Driver()),
    ],
)
def test_conditions_come_back(conditions: Any, make: Any, driver: Any) -> None:
    made = make(conditions)
    assert back(made)(driver) == made(driver)


def test_condition_whose_arguments_are_not_held_is_refused(conditions: Any) -> None:
    with pytest.raises(NotRecordableError):
        back(conditions.url_changes("http://shop.example"))


def test_condition_about_an_element_of_a_page_is_refused(conditions: Any) -> None:
    with pytest.raises(NotRecordableError, match=r"\.mark"):
        back(conditions.element_to_be_clickable(Driver()))


@pytest.mark.parametrize("name", ["__builtins__", "_predicate", "title", "exec"])
def test_no_other_function_is_called_by_a_forged_store(conditions: Any, name: str) -> None:
    with pytest.raises(CallbackMissingError):
        Codec(Books()).decode_value(f'{{"$condition": "{name}", "arguments": {{}}}}')


# ---- item loaders


class Book(Item):  # type: ignore[misc]
    title = Field()
    tags = Field()


@dataclass
class Film:
    title: str = ""
    tags: list[str] = field(default_factory=list)


class BookLoader(ItemLoader):  # type: ignore[misc]
    default_item_class = Book
    default_output_processor = TakeFirst()


@pytest.mark.parametrize("item", [Book(title="Emma"), {"title": "Emma"}, Film("Emma")])
@pytest.mark.parametrize("kind", [ItemLoader, BookLoader])
def test_loaders_come_back_and_go_on_loading(kind: Any, item: Any) -> None:
    made = kind(item=item, currency="EUR")
    made.add_value("tags", ["novel", "1815"])
    found = back(made)
    assert type(found) is kind
    assert found.context["item"] is found.item
    assert found.context["currency"] == "EUR"
    for loader in (made, found):
        loader.add_value("tags", "English")
    assert found.load_item() == made.load_item()


def test_loader_gets_a_response_of_the_next_page() -> None:
    found = back(BookLoader(item=Book()))
    found.selector = Selector(text="<h1>Emma</h1>")
    found.add_css("title", "h1::text")
    assert found.load_item() == Book(title="Emma")


def test_loader_that_holds_a_response_is_refused_with_a_remedy() -> None:
    response = HtmlResponse("http://shop.example", body=b"<h1>Emma</h1>")
    for loader in (ItemLoader(response=response), ItemLoader(selector=response.selector)):
        with pytest.raises(NotRecordableError, match="load_item"):
            back(loader)
    with pytest.raises(NotRecordableError, match="load_item"):
        back(ItemLoader(response=response).nested_css("h1"))
