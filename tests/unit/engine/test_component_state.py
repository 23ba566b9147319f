"""Containers whose additions of open requests are not persisted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from scrapy.crawler import Crawler

from scrapy_resume.engine.component_state import ComponentState
from scrapy_resume.engine.current import current_row
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.frontier.row import Row


class Component:
    def __init__(self) -> None:
        self.seen: set[int] = {1}
        self.prices: dict[int, int] = {1: 1}
        self.count = 0


class FakeCrawler:
    def __init__(self, component: Component | None) -> None:
        self._component = component

    def get_extension(self, kind: type) -> Any:
        return self._component

    def get_item_pipeline(self, kind: type) -> None:
        return None

    get_spider_middleware = get_downloader_middleware = get_item_pipeline


PATH = f"{__name__}.Component"


def state_of(component: Component | None) -> ComponentState:
    crawler = cast(Crawler, FakeCrawler(component))
    return ComponentState(crawler, {PATH: ("seen", "prices", "count")})


@contextmanager
def code_of(row: Row) -> Iterator[None]:
    token = current_row.set(row)
    yield
    current_row.reset(token)


def test_what_an_open_request_adds_is_persisted_when_it_is_finished() -> None:
    component = Component()
    state = state_of(component)
    state.restore({PATH: {"seen": {7}}})
    row = Row(1, b"x", recorded=True)
    with code_of(row):
        component.seen.add(2)
        component.seen.update([3], {7})
        component.seen |= {4}
        component.prices[2] = component.prices[1] = 5
        component.prices.update({3: 3}, a=4)
        component.prices.setdefault(4, 4)
        component.prices |= {5: 5}
        component.count += 1
    assert state.values() == {PATH: {"seen": {7}, "prices": {1: 5}, "count": 1}}
    assert {2, 3, 4, 7} == component.seen
    state.journal.finished(row)
    now = {1: 5, 2: 5, 3: 3, "a": 4, 4: 4, 5: 5}
    assert state.values() == {PATH: {"seen": {2, 3, 4, 7}, "prices": now, "count": 1}}
    assert [type(value) for value in state.values()[PATH].values()] == [set, dict, int]


def test_what_no_request_adds_is_persisted() -> None:
    component = Component()
    state = state_of(component)
    state.restore({})
    component.seen.add(2)
    assert state.values()[PATH]["seen"] == {1, 2}


def test_copies_are_containers_of_their_own() -> None:
    component = Component()
    state = state_of(component)
    state.restore({})
    with code_of(Row(1, b"x", recorded=True)):
        for other in (component.seen.copy(), component.seen | {2}, copy.copy(component.seen)):
            other.add(3)
            assert other >= {1, 3}
    assert state.values()[PATH]["seen"] == {1}


def test_a_component_that_was_not_built_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="of that class is"):
        state_of(None).restore({})


def test_an_attribute_that_is_not_there_is_an_error() -> None:
    component = Component()
    del component.count
    with pytest.raises(ConfigurationError, match="'count'"):
        state_of(component).restore({})
