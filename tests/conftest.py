"""Options of the whole suite."""

from __future__ import annotations

import signal

import pytest

from tests.support.stores import store_of_the_crawls

__all__ = ["store_of_the_crawls"]

FILES_ONLY = "about files: SQLite alone"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store",
        choices=["sqlite", "postgres"],
        default="sqlite",
        help="where the crawl, crash and feed tests keep their jobs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """A shell has what runs in the background ignore Ctrl-C, and tests send it to what they
    start, which would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the files of a store say so by a marker."""
    if config.getoption("--store") == "sqlite":
        return
    for item in items:
        marker = item.get_closest_marker("sqlite")
        if marker is not None:
            item.add_marker(pytest.mark.skip(reason=marker.args[0] if marker.args else FILES_ONLY))
