from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.feeds.runs import Crawl
from tests.support.launcher import Launcher
from tests.support.postgres import PostgresServer, postgres_server

from .shelf import Shelf

__all__ = ["postgres_server"]

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


@pytest.fixture
def database(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """An empty database of a dialect."""
    if dialect == "sqlite":
        with Shelf(f"sqlite:///{tmp_path / 'shop.db'}") as shelf:
            yield shelf
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.new_database()
    with Shelf(url) as shelf:
        yield shelf
    server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)
