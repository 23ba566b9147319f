"""All parts of a run share one clock, one engine port and one of each other part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from scrapy_resume.codec import Codec
from scrapy_resume.commits.committer import CommitParticipant
from scrapy_resume.engine.clock import ScrapyClock
from scrapy_resume.engine.port import EnginePort
from scrapy_resume.model import JobKey
from scrapy_resume.run import assembly
from scrapy_resume.run.assembly import CrawlPlan, Parts, assemble
from scrapy_resume.settings.parse import parse_settings
from scrapy_resume.settings.queue_order import queue_order
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Opening


@pytest.fixture
def crawler(tmp_path: Path) -> Crawler:
    crawler = get_crawler(settings_dict={"RESUME_STORE": str(tmp_path / "store")})
    crawler.spider = Spider.from_crawler(crawler, name="books")
    return crawler


@pytest.fixture
def parts(crawler: Crawler) -> Iterator[Parts]:
    settings = parse_settings(crawler.settings)
    job = open_location(settings.store).begin(JobKey("books", 1), Opening("books", "host:1"))
    plan = CrawlPlan(
        crawler, settings, queue_order(crawler.settings), Codec(crawler.spider), job, 0.0
    )
    yield assemble(plan, cast(CommitParticipant, object()))
    job.abandon()


def attributes(value: Any) -> Iterator[Any]:
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    for name in {*getattr(value, "__dict__", {}), *slots}:
        if hasattr(value, name):
            yield getattr(value, name)


def reachable(parts: Parts) -> dict[int, Any]:
    """All objects of this package that the parts hold, and that those hold, by id."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [parts]
    while waiting:
        value = waiting.pop()
        if id(value) in found or not type(value).__module__.startswith("scrapy_resume."):
            continue
        found[id(value)] = value
        waiting += attributes(value)
    return found


def test_all_parts_share_one_clock_and_one_engine_port(parts: Parts) -> None:
    found = reachable(parts).values()
    assert [value for value in found if isinstance(value, ScrapyClock)] == [parts.clock]
    assert [value for value in found if isinstance(value, EnginePort)] == [parts.engine]


@pytest.mark.parametrize("name", sorted(Parts.__struct_fields__))
def test_there_is_one_of_each_part(parts: Parts, name: str) -> None:
    part = getattr(parts, name)
    if part is None:
        return  # for the workers of a fleet alone
    same = [value for value in reachable(parts).values() if type(value) is type(part)]
    assert len(same) == 1
    assert same[0] is part


def test_each_part_that_looks_at_the_time_has_the_clock(parts: Parts) -> None:
    clocks = [
        vars(value)["_clock"]
        for value in reachable(parts).values()
        if "_clock" in getattr(value, "__dict__", {})
    ]
    assert len(clocks) > 5
    assert all(clock in (parts.clock, parts.clock.monotonic) for clock in clocks)


def test_the_assembly_assigns_no_attribute() -> None:
    """Each part is complete when its constructor returns."""
    tree = ast.parse(Path(assembly.__file__).read_text(encoding="utf-8"))
    assigned = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
    ]
    called = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}
    ]
    assert assigned + called == []
