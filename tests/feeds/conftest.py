from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.launcher import Launcher

from .runs import Crawl

NewCrawl = Callable[..., Crawl]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def whole(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """The items that plain Scrapy gives, with no options, arguments or settings."""
    plain = Crawl(tmp_path_factory.mktemp("plain") / "crawl", launcher)
    plain.run(plain=True)
    return plain.items()


@pytest.fixture
def new_crawl(launcher: Launcher, tmp_path: Path) -> NewCrawl:
    """Crawls of the feeding spider, each in a folder of its own."""

    def make(folder: str = "crawl", **how: Any) -> Crawl:
        return Crawl(tmp_path / folder, launcher, **how)

    return make
