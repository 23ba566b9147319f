"""Selenium's own expected conditions, as far as their arguments can be serialized."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as ec

from scrapy_resume.codec import Codec

PLACE = (By.CSS_SELECTOR, "a.next")


@pytest.mark.parametrize(
    "condition",
    [
        ec.title_is("Shop"),
        ec.title_contains("Sh"),
        ec.url_to_be("http://shop.example"),
        ec.presence_of_element_located(PLACE),
        ec.visibility_of_element_located(PLACE),
        ec.element_to_be_clickable(PLACE),
        ec.text_to_be_present_in_element(PLACE, "next"),
        ec.number_of_windows_to_be(2),
        ec.any_of(ec.title_is("Shop"), ec.presence_of_element_located(PLACE)),
        ec.none_of(ec.title_is("Shop")),
    ],
    ids=lambda condition: condition.__qualname__,
)
def test_conditions_are_recorded(condition: Any) -> None:
    spider = Spider("shop")
    text = Codec(spider).encode_value(condition)
    found = Codec(spider).decode_value(text)
    assert found.__qualname__ == condition.__qualname__
    assert Codec(spider).encode_value(found) == text
