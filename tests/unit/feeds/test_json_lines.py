"""Dicts become the bytes that Scrapy's exporter makes of them, without the exporter's way."""

from __future__ import annotations

import datetime
import decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Field, Item, Request
from scrapy.exporters import JsonItemExporter, JsonLinesItemExporter

from scrapy_resume.feeds.json_lines import _METHODS, is_plain, quick_export

OPTIONS: list[dict[str, Any]] = [
    {},
    {"encoding": "utf-8"},
    {"encoding": "latin-1", "ensure_ascii": True},
    {"indent": 2},
    {"sort_keys": True},
    {"export_empty_fields": True},
]


class Book(Item):
    title = Field(serializer=str.upper)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.decimals(allow_nan=False)
    | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


def by_exporter(item: Any, options: dict[str, Any]) -> bytes:
    file = BytesIO()
    JsonLinesItemExporter(file, **options).export_item(item)
    return file.getvalue()


def quickly(item: Any, options: dict[str, Any]) -> bytes:
    file = BytesIO()
    export = quick_export(JsonLinesItemExporter(file, **options))
    assert export is not None
    assert is_plain(item)
    export(item)
    return file.getvalue()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4))
def test_the_bytes_are_those_of_the_exporter(item: dict[str, Any]) -> None:
    for options in OPTIONS:
        assert quickly(item, options) == by_exporter(item, options)


@pytest.mark.parametrize("options", OPTIONS)
def test_values_that_json_does_not_know_too(options: dict[str, Any]) -> None:
    item = {
        "z": {1},
        "a": decimal.Decimal("1.10"),
        "when": datetime.date(2026, 5, 1),
        "book": Book(title="a"),
        "request": Request("http://a.test"),
        "empty": None,
        "text": "é",
    }
    assert quickly(item, options) == by_exporter(item, options)


class Own(JsonLinesItemExporter):
    """An exporter of somebody's."""


@pytest.mark.parametrize(
    "exporter",
    [
        pytest.param(lambda: Own(BytesIO()), id="a class of its own"),
        pytest.param(lambda: JsonItemExporter(BytesIO()), id="another format"),
        pytest.param(
            lambda: JsonLinesItemExporter(BytesIO(), fields_to_export=["a"]), id="some fields"
        ),
    ],
)
def test_other_exporters_write_themselves(exporter: Any) -> None:
    assert quick_export(exporter()) is None


@pytest.mark.parametrize("name", list(_METHODS))
def test_a_method_that_somebody_has_replaced_is_called(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    exporter = JsonLinesItemExporter(BytesIO())
    setattr(exporter, name, lambda *_: None)
    assert quick_export(exporter) is None
    monkeypatch.setattr(JsonLinesItemExporter, name, lambda *_: None)
    assert quick_export(JsonLinesItemExporter(BytesIO())) is None


@pytest.mark.parametrize("item", [{1: "a"}, Book(title="a"), {"a": 1, ("b",): 2}])
def test_items_of_other_kinds_are_not_plain(item: Any) -> None:
    assert not is_plain(item)
