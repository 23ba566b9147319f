"""``NEEDED`` lists every private part of Scrapy that the engine package uses, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.core.downloader import Slot
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.extensions.feedexport import FeedExporter
from scrapy.extensions.httpcache import FilesystemCacheStorage
from scrapy.pipelines.files import FSFilesStore
from scrapy.settings import Settings

from scrapy_resume import engine as engine_package
from scrapy_resume.engine.private_api import (
    DOWNLOAD_SLOT,
    NEEDED,
    USED_IF_THERE,
    InProgress,
    require,
    verify,
)
from scrapy_resume.errors import ScrapyChangedError
from tests.test_house import foreign_private_names

MODULES = sorted(
    path
    for path in Path(str(engine_package.__file__)).parent.glob("*.py")
    if path.name != "private_api.py"
)

PLACE_OF = {
    "engine": "engine",
    "engine_parts": "engine",
    "self._engine": "engine",
    "engine_slot": "engine._slot",
    "engine_slot.nextcall": "engine._slot.nextcall",
    "downloader": "engine.downloader",
    "self._downloader": "engine.downloader",
    "engine.downloader": "engine.downloader",
    "engine.downloader.middleware": "engine.downloader.middleware",
    "download_slot": DOWNLOAD_SLOT,
    "scraper": "engine.scraper",
    "self._engine.scraper": "engine.scraper",
    "engine.scraper": "engine.scraper",
    "engine.scraper.itemproc": "engine.scraper.itemproc",
    "scraper.spidermw": "engine.scraper.spidermw",
    "middleware": "CookiesMiddleware",
    "storage": "FilesystemCacheStorage",
    "self._storage": "FilesystemCacheStorage",
    "store": "FSFilesStore",
    "self._store": "FSFilesStore",
    "crawl_spider": "CrawlSpider",
    "core_stats": "CoreStats",
}
"""The names that the engine package gives to parts of Scrapy → their place in ``NEEDED``."""


def used_parts() -> Iterator[tuple[str, str]]:
    """(place, name) of each attribute that the modules read or replace."""
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            place = PLACE_OF.get(ast.unparse(node.value))
            if place is not None:
                yield place, node.attr
            elif path.name == "feed_slots.py" and ast.unparse(node.value) == "self":
                yield "FeedExporter", node.attr


PUBLIC = {("FeedExporter", "crawler")}
"""Documented by Scrapy."""

OF_THE_STANDARD_LIBRARY = {"_rest"}
"""Of ``http.cookiejar.Cookie``."""

USED_BY_SCRAPY = {("engine._slot", "remove_request")}
"""Not used here, but the proof of ``engine.hooks`` depends on it."""


OVERRIDDEN = {("FeedExporter", "_exporter_supported"), ("FeedExporter", "_storage_supported")}
"""Defined here in place of Scrapy's, which calls them."""


def test_needed_lists_what_the_engine_package_uses_and_nothing_else() -> None:
    listed = {(place, name) for place, names in NEEDED.items() for name in names}
    assert set(used_parts()) - PUBLIC == listed - USED_BY_SCRAPY - OVERRIDDEN


def test_every_private_name_of_scrapy_is_listed() -> None:
    """By another way of looking: whatever a part of Scrapy is called in a module."""
    places = (*NEEDED.values(), *USED_IF_THERE.values())
    listed = {name for names in places for name in names}
    used = [use for path in MODULES for use in foreign_private_names(path)]
    private = {use.rpartition(".")[2] for use in used} - OF_THE_STANDARD_LIBRARY
    overridden = {name for _, name in OVERRIDDEN}
    assert private == {name for name in listed if name.startswith("_")} - overridden


def stub(place: str) -> SimpleNamespace:
    """An object with all the parts of a place, and of the places below it."""
    below = {name: stub(f"{place}.{name}") for name in NEEDED[place] if f"{place}.{name}" in NEEDED}
    return SimpleNamespace(**{**dict.fromkeys(NEEDED[place]), **below})


@pytest.fixture
def engine() -> Any:
    engine: Any = stub("engine")
    engine._slot.inprogress = set()
    return engine


def test_an_engine_with_all_parts_is_verified(engine: Any) -> None:
    verify(engine)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (place, name)
        for place, names in NEEDED.items()
        for name in names
        if place.startswith("engine") and place != DOWNLOAD_SLOT
    ],
)
def test_a_missing_part_of_the_engine_is_named(engine: Any, place: str, name: str) -> None:
    part = engine
    for step in place.split(".")[1:]:
        part = getattr(part, step)
    delattr(part, name)
    with pytest.raises(ScrapyChangedError, match=rf"has no {place}\.{name},"):
        verify(engine)


def test_requests_in_progress_that_are_no_set_are_refused(engine: Any) -> None:
    engine._slot.inprogress = []
    with pytest.raises(ScrapyChangedError, match=r"inprogress .* is not a set"):
        verify(engine)


def test_the_classes_of_this_scrapy_have_their_parts(tmp_path: Path) -> None:
    require(DOWNLOAD_SLOT, Slot(1, 0.0, 0))
    require("CookiesMiddleware", CookiesMiddleware())
    require("FilesystemCacheStorage", FilesystemCacheStorage(Settings()))
    require("FSFilesStore", FSFilesStore(str(tmp_path)))
    require("FeedExporter", FeedExporter)


def test_a_missing_part_of_a_class_is_named() -> None:
    with pytest.raises(ScrapyChangedError, match=r"has no FSFilesStore\.persist_file,"):
        require("FSFilesStore", SimpleNamespace(_get_filesystem_path=None, basedir=""))


def test_a_request_that_leaves_the_set_is_reported_once_it_has_left() -> None:
    left: list[bool] = []
    request, other = Request("http://a.test/"), Request("http://b.test/")
    in_progress = InProgress([request, other], lambda one: left.append(one in in_progress))
    in_progress.remove(request)
    assert left == [False]
    assert in_progress == {other}
