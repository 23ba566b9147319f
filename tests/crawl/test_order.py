"""Where requests go one by one, they go in exactly the order of plain Scrapy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import scrapy

from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.skips import other_scrapy, other_store
from tests.support.stores import on_postgres
from tests.support.wanderings import Wanderings

pytestmark = pytest.mark.skipif(
    scrapy.version_info < (2, 19),
    reason=other_scrapy("callbacks begin 0.1 s after the download, so the order varies"),
)

ONE_BY_ONE = {"CONCURRENT_REQUESTS": 1, "RESUME_RETRY_DELAY": 0}
FIFO = {"SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue"}
BY_PRIORITY_ALONE = {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"}
STARTS_AS_OTHERS = {"SCHEDULER_START_MEMORY_QUEUE": ""}
STARTS_LAST_FIRST = {"SCHEDULER_START_MEMORY_QUEUE": "scrapy.squeues.LifoMemoryQueue"}

TRIES = 3
"""On a busy machine a callback may be through before ``start()`` gives the next request, or before
the engine asks for one: plain Scrapy's order is a matter of time then, too."""

Settings = Mapping[str, Any]

ORDERS: list[Any] = [
    pytest.param({}, (), id="default"),
    pytest.param(FIFO, (), id="fifo", marks=pytest.mark.soak),
    pytest.param({"DEPTH_PRIORITY": 1}, (), id="depth", marks=pytest.mark.soak),
    pytest.param({**FIFO, "DEPTH_PRIORITY": 1}, (), id="breadth first"),
    pytest.param({}, ("priorities=1",), id="priorities"),
    pytest.param({}, ("detours=1",), id="detours"),
    pytest.param(FIFO, ("detours=1",), id="detours, fifo"),
    pytest.param(BY_PRIORITY_ALONE, (), id="one queue", marks=pytest.mark.soak),
    pytest.param(BY_PRIORITY_ALONE, ("priorities=1", "hosts=2"), id="one queue, two hosts"),
    pytest.param({}, ("hosts=2",), id="two hosts"),
    pytest.param(
        FIFO,
        ("hosts=2", "priorities=1"),
        id="two hosts, fifo, priorities",
        marks=pytest.mark.soak,
    ),
    pytest.param({"DEPTH_LIMIT": 1}, ("leaves=40",), id="more than the buffer holds"),
    pytest.param(
        {"DEPTH_LIMIT": 1},
        ("leaves=40", "hosts=2"),
        id="more than the buffer holds, two hosts",
        marks=pytest.mark.soak,
    ),
    pytest.param(
        {"DEPTH_LIMIT": 1, "DEPTH_PRIORITY": 1, **FIFO},
        ("leaves=20", "hosts=2", "priorities=1"),
        id="more than the buffer holds, breadth first",
    ),
    pytest.param(STARTS_AS_OTHERS, (), id="starts as others"),
    pytest.param({**STARTS_AS_OTHERS, **FIFO}, (), id="starts as others, fifo"),
    pytest.param(STARTS_LAST_FIRST, (), id="starts last first"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), pages=24) as running:
        yield running


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "ordering.py", found.spider)
    return found


def fetched(wanderings: Wanderings, settings: Settings, arguments: tuple[str, ...]) -> list[str]:
    """What a crawl asks the site for, in that order."""
    hits = wanderings.place.next_log().with_suffix(".jsonl")
    wanderings.site.begin(hits, latency=0.0)
    words = [word for argument in arguments for word in ("-a", argument)]
    run = wanderings.run({**ONE_BY_ONE, **settings}, *words)
    assert run.is_finished, run.tail()
    return [hit.url for hit in wanderings.site.hits()]


def plain(settings: Settings) -> Settings:
    return {**settings, "ADDONS": "{}"}


@pytest.mark.parametrize(("settings", "arguments"), ORDERS)
def test_requests_go_in_the_order_of_plain_scrapy(
    wanderings: Wanderings, settings: Settings, arguments: tuple[str, ...]
) -> None:
    if on_postgres() and "hosts=2" in arguments and "SCHEDULER_PRIORITY_QUEUE" not in settings:
        pytest.skip(other_store("a worker takes slots when it needs them, in an order of its own"))
    expected = fetched(wanderings, plain(settings), arguments)
    assert len(expected) >= wanderings.site.pages
    found = [fetched(wanderings, settings, arguments)]
    while found[-1] != expected and len(found) < TRIES:
        found.append(fetched(wanderings, settings, arguments))
    assert found[-1] == expected


def test_breadth_first_is_the_order_of_plain_scrapy_s_fifo_queues(wanderings: Wanderings) -> None:
    expected = fetched(wanderings, plain({**FIFO, **STARTS_AS_OTHERS}), ())
    assert fetched(wanderings, {"RESUME_ORDER": "bfo"}, ()) == expected


def test_depth_first_is_the_order_of_plain_scrapy_s_lifo_queues(wanderings: Wanderings) -> None:
    expected = fetched(wanderings, plain({}), ())
    assert fetched(wanderings, {"RESUME_ORDER": "dfo", **FIFO}, ()) == expected
