"""Fixtures of the crawl and crash tests; their ``conftest.py`` import them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.launcher import Launcher
from tests.support.oracles import Truth
from tests.support.runs import Workplace, crawl, recorded_items
from tests.support.site import Site

LATENCY_SECONDS = 0.01

Truths = Callable[[str], Truth]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, latency=LATENCY_SECONDS) as running:
        yield running


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, site: Site) -> Workplace:
    """A job's folder; the site's hit log begins anew in it."""
    site.begin(tmp_path / "hits.jsonl")
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def truths(tmp_path_factory: pytest.TempPathFactory, site: Site, launcher: Launcher) -> Truths:
    """What a plain run of a spider gives; each spider is run once. Begins a new hit log."""
    known: dict[str, Truth] = {}

    def truth(spider: str) -> Truth:
        if spider not in known:
            plain_place = Workplace(tmp_path_factory.mktemp(f"plain-{spider}"))
            known[spider] = plain_truth(spider, site, plain_place, launcher)
        return known[spider]

    return truth


def plain_truth(
    spider: str, site: Site, place: Workplace, launcher: Launcher | None = None
) -> Truth:
    """Runs a spider under plain Scrapy, and puts the site's hit log back afterwards."""
    before = site.log
    log = site.begin(place.path / "hits.jsonl")
    run = crawl(spider, site=site, place=place, plain=True, launcher=launcher)
    assert run.is_finished, run.tail()
    if before.path.exists():
        site.begin(before.path)
    return Truth(recorded_items(place), log.hits())
