"""Whatever a spider does: plain, with the package, killed on the way, the items are the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from zlib import crc32

import pytest
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from tests.support.fixtures import Truths
from tests.support.kills import Kill, random_kills, when_logged
from tests.support.launcher import Launcher
from tests.support.oracles import Truth, compare
from tests.support.reactors import ASYNCIO, NO_REACTOR, SELECT, Mode
from tests.support.runs import Workplace, crawl_through, reach_project, stored_items
from tests.support.site import Site

WITH_OTHER_REACTORS = [
    (NO_REACTOR, "lambda_parents"),
    (NO_REACTOR, "retries"),
    (NO_REACTOR, "start_options"),
    (SELECT, "retries"),
]

IN_EVERY_MODE = [
    "lambda_parents",
    "retries",
    "start_options",
    "async_generators",
    "cookiejars",
    "errbacks",
    "idle",
    "inline",
    "many_items",
    "redirects",
]

LEFT_ALONE = {"all_lambdas", "files", "start_items"}
"""A crawl through two kills includes all that one does that is left alone; the rest of these are
left to the soak."""

KILLED = {
    "all_lambdas",
    "async_generators",
    "cookiejars",
    "coroutines",
    "crawl_spider",
    "csv_feed",
    "dont_filter",
    "dropping",
    "errbacks",
    "extension_requests",
    "files",
    "forms",
    "idle",
    "inline",
    "login",
    "many_items",
    "pipeline_requests",
    "priorities",
    "raising",
    "redirects",
    "retries",
    "robots",
    "sitemap",
    "start_items",
    "values",
}
"""One or two of each family; the others, which differ in a setting or a form, are for the soak."""

OF_CRASH_TESTS = {"kinds.spiders.crash", "kinds.spiders.drawn"}


def kinds() -> list[str]:
    """The spiders of the project, without those that belong to the crash tests."""
    reach_project()
    loader = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["kinds.spiders"]}))
    names = loader.list()
    return sorted(n for n in names if loader.load(n).__module__ not in OF_CRASH_TESTS)


def two_kills(kind: str, truth: Truth) -> Sequence[Kill]:
    """SIGKILLs at hit counts that the kind's name decides; soon after opening if it has none."""
    if not truth.hits:
        return [when_logged("Spider opened")] * 2
    return random_kills(crc32(kind.encode()), len(truth.hits), 2)


def some_in_soak(always: Collection[str]) -> list[Any]:
    """All kinds; those that are not always crawled are for the soak."""
    return [pytest.param(k, marks=[] if k in always else pytest.mark.soak) for k in kinds()]


@pytest.mark.parametrize("kind", some_in_soak(LEFT_ALONE))
def test_package_gives_the_items_of_plain_scrapy(
    kind: str, truths: Truths, site: Site, place: Workplace, launcher: Launcher
) -> None:
    truth = truths(kind)
    crawl_through(kind, [], site=site, place=place, launcher=launcher)
    difference = compare(truth.items, stored_items(place, kind))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)


@pytest.mark.parametrize("kind", some_in_soak(KILLED))
def test_killed_twice_gives_the_items_of_plain_scrapy(
    kind: str, truths: Truths, site: Site, place: Workplace, launcher: Launcher
) -> None:
    check_killed(kind, ASYNCIO, truths(kind), site, place, launcher)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        pytest.param(
            mode,
            kind,
            id=f"{mode.name}-{kind}",
            marks=[] if (mode, kind) in WITH_OTHER_REACTORS else pytest.mark.soak,
        )
        for mode in (SELECT, NO_REACTOR)
        for kind in IN_EVERY_MODE
    ],
)
def test_killed_twice_with_other_reactors(
    kind: str, mode: Mode, truths: Truths, site: Site, place: Workplace, launcher: Launcher
) -> None:
    if mode.unavailable:
        pytest.skip(mode.unavailable)
    check_killed(kind, mode, truths(kind), site, place, launcher)


def check_killed(
    kind: str, mode: Mode, truth: Truth, site: Site, place: Workplace, launcher: Launcher
) -> None:
    kills = two_kills(kind, truth)
    runs = crawl_through(kind, kills, site=site, place=place, launcher=launcher, mode=mode)
    difference = compare(truth.items, stored_items(place, kind))
    assert not difference.lost, f"{difference}, after {len(runs)} runs: {runs[-1].tail()}"
    assert not difference.twice, f"{difference}, after {len(runs)} runs: {runs[-1].tail()}"
