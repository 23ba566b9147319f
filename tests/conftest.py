"""Options of the whole suite."""

from __future__ import annotations

import signal

import pytest

from tests.support.skips import (
    other_store,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from tests.support.stores import store_of_the_crawls

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport", "store_of_the_crawls"]

FILES_ONLY = "it is about the files of SQLite"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store",
        choices=["sqlite", "postgres"],
        default="sqlite",
        help="where the crawl, crash and feed tests keep their jobs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Processes that tests start inherit how SIGINT is handled, and some tests send it to them;
    a shell lets what runs in the background ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with the marker ``sqlite`` are skipped where jobs are kept in PostgreSQL."""
    if config.getoption("--store") == "sqlite":
        return
    for item in items:
        marker = item.get_closest_marker("sqlite")
        if marker is not None:
            why = marker.args[0] if marker.args else FILES_ONLY
            item.add_marker(pytest.mark.skip(reason=other_store(why)))
