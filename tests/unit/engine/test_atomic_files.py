"""Cache entries and media files are whole or not there, whenever the process dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.extensions.httpcache import DbmCacheStorage, FilesystemCacheStorage
from scrapy.http import HtmlResponse
from scrapy.pipelines.files import FilesPipeline, FSFilesStore
from scrapy.settings import Settings
from scrapy.utils.request import RequestFingerprinter

from scrapy_resume.engine.atomic_files import write_files_atomically

SPIDER: Any = SimpleNamespace(
    name="books", crawler=SimpleNamespace(request_fingerprinter=RequestFingerprinter())
)
BOOK = Request("http://books.test/1")


class OwnCacheStorage(FilesystemCacheStorage):
    pass


class OwnFilesStore(FSFilesStore):
    pass


class Killed(BaseException):
    """The process ends here: nothing that follows is done."""


def engine_of(*, middlewares: Any = (), pipelines: Any = ()) -> Any:
    return SimpleNamespace(
        downloader=SimpleNamespace(middleware=SimpleNamespace(middlewares=middlewares)),
        scraper=SimpleNamespace(itemproc=SimpleNamespace(middlewares=pipelines)),
    )


def cache(folder: Path, storage: type = FilesystemCacheStorage, **settings: Any) -> Any:
    """The storage of a crawl's HTTP cache, as a new process has it."""
    given = {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(folder), **settings}
    middleware = HttpCacheMiddleware(Settings({**given, "HTTPCACHE_STORAGE": storage}), None)
    write_files_atomically(engine_of(middlewares=[object(), middleware]))
    middleware.storage.open_spider(SPIDER)
    return middleware.storage


def files(folder: Path, store: type = FSFilesStore) -> Any:
    """The store of a crawl's media pipeline."""
    pipeline = FilesPipeline.__new__(FilesPipeline)
    pipeline.store = store(str(folder))
    write_files_atomically(engine_of(pipelines=[object(), pipeline]))
    return pipeline.store


def page(text: str) -> HtmlResponse:
    return HtmlResponse(BOOK.url, body=text.encode(), headers={"X-Kind": "book"})


def kept(storage: Any) -> str | None:
    """The text of the cached page, read as another process would."""
    response = storage.retrieve_response(SPIDER, BOOK)
    return None if response is None else response.text


def entries(folder: Path) -> list[str]:
    """All files that are there, but for what begins with a dot."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if not any(p.startswith(".") for p in path.parts))


def dying_at(count: int, opens: Callable[..., Any]) -> Callable[..., Any]:
    """``open``, with half of what is written for the ``count``-th time, and then no more."""
    calls = iter(range(1, 100))

    def dying(*args: Any, **kwargs: Any) -> Any:
        file = opens(*args, **kwargs)
        if next(calls) == count:
            file.write(b"half of wh")
            file.close()
            raise Killed
        return file

    return dying


# -- power cuts


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_renamed_was_synced_if_the_run_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[str] = []

    def sync(file: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)

    monkeypatch.setattr(os, "fsync", sync)
    pipeline = FilesPipeline.__new__(FilesPipeline)
    pipeline.store = FSFilesStore(str(tmp_path / "files"))
    settings = {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(tmp_path / "cache")}
    middleware = HttpCacheMiddleware(
        Settings({**settings, "HTTPCACHE_STORAGE": FilesystemCacheStorage}), None
    )
    engine = engine_of(middlewares=[middleware], pipelines=[pipeline])
    write_files_atomically(engine, durable=durable)
    middleware.storage.open_spider(SPIDER)
    middleware.storage.store_response(SPIDER, BOOK, page("whole"))
    assert kept(middleware.storage) == "whole"
    cached = set(synced)
    synced.clear()
    pipeline.store.persist_file("full/a.jpg", BytesIO(b"image"), None)
    assert (tmp_path / "files" / "full" / "a.jpg").read_bytes() == b"image"
    if durable:
        assert {"pickled_meta", "response_body", "response_headers", "meta"} < cached
        assert synced[0].endswith(".part")
        assert synced[1:] == ["full", "files"]
    else:
        assert not cached
        assert not synced


# -- the HTTP cache


@pytest.mark.parametrize("count", range(1, 7))
def test_an_entry_whose_writing_is_cut_short_is_not_there(tmp_path: Path, count: int) -> None:
    storage = cache(tmp_path)
    storage._open = dying_at(count, storage._open)
    with pytest.raises(Killed):
        storage.store_response(SPIDER, BOOK, page("whole"))
    assert kept(cache(tmp_path)) is None
    assert entries(tmp_path) == []


@pytest.mark.parametrize("count", range(1, 7))
def test_an_entry_whose_replacing_is_cut_short_is_the_old_one(tmp_path: Path, count: int) -> None:
    storage = cache(tmp_path)
    storage.store_response(SPIDER, BOOK, page("old"))
    storage._open = dying_at(count, storage._open)
    with pytest.raises(Killed):
        storage.store_response(SPIDER, BOOK, page("new"))
    assert kept(cache(tmp_path)) == "old"


@pytest.mark.parametrize("gzipped", [False, True])
def test_an_entry_is_replaced_whole(tmp_path: Path, gzipped: bool) -> None:
    storage = cache(tmp_path, HTTPCACHE_GZIP=gzipped)
    storage.store_response(SPIDER, BOOK, page("old"))
    storage.store_response(SPIDER, BOOK, page("new"))
    assert kept(cache(tmp_path, HTTPCACHE_GZIP=gzipped)) == "new"


def test_entries_are_those_of_plain_scrapy(tmp_path: Path) -> None:
    cache(tmp_path / "ours").store_response(SPIDER, BOOK, page("whole"))
    settings = Settings({"HTTPCACHE_DIR": str(tmp_path / "plain")})
    plain = FilesystemCacheStorage(settings)
    plain.open_spider(SPIDER)
    plain.store_response(SPIDER, BOOK, page("whole"))
    assert entries(tmp_path / "ours") == entries(tmp_path / "plain") != []
    response = cache(tmp_path / "plain").retrieve_response(SPIDER, BOOK)
    assert (response.text, response.headers["X-Kind"]) == ("whole", b"book")


@pytest.mark.parametrize("suffix", [".part", ".old"])
def test_what_a_dead_process_left_of_an_entry_does_no_harm(tmp_path: Path, suffix: str) -> None:
    """Also one of the same number: in a container it often is."""
    storage = cache(tmp_path)
    storage._open = dying_at(3, open)
    with pytest.raises(Killed):
        storage.store_response(SPIDER, BOOK, page("torn"))
    (part,) = tmp_path.rglob("*.part")
    left = part.rename(part.with_suffix(suffix))
    (left / "something_else").write_bytes(b"torn")
    storage._open = open
    assert kept(storage) is None
    for text in ("first", "second"):
        storage.store_response(SPIDER, BOOK, page(text))
        assert kept(cache(tmp_path)) == text
    assert not left.exists()
    assert not list(tmp_path.rglob("something_else"))


@pytest.mark.parametrize("storage", [OwnCacheStorage, DbmCacheStorage])
def test_another_cache_storage_is_left_alone(tmp_path: Path, storage: type) -> None:
    found = cache(tmp_path, storage)
    assert "store_response" not in vars(found)
    if isinstance(found, DbmCacheStorage):
        found.close_spider(SPIDER)


# -- files of the media pipelines


def test_a_file_whose_writing_is_cut_short_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = files(tmp_path)
    write = Path.write_bytes

    def dying(self: Path, content: bytes) -> int:
        write(self, content[: len(content) // 2])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", dying)
        with pytest.raises(Killed):
            store.persist_file("full/a.pdf", BytesIO(b"whole"), None)
    assert store.stat_file("full/a.pdf", None) == {}
    assert entries(tmp_path) == []
    store.persist_file("full/a.pdf", BytesIO(b"whole"), None)
    assert (tmp_path / "full" / "a.pdf").read_bytes() == b"whole"


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    store = files(tmp_path)
    for content in (b"old", b"new"):
        store.persist_file("full/deep/a.pdf", BytesIO(content), None, meta=None, headers={})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.pdf"]
    assert (tmp_path / "full" / "deep" / "a.pdf").read_bytes() == b"new"


def test_a_folder_that_is_relative_or_named_by_its_url_serves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("./media", "media/../media", f"file://{tmp_path}/media"):
        files(folder).persist_file("full/a.pdf", BytesIO(folder.encode()), None)
        assert (tmp_path / "media" / "full" / "a.pdf").read_text() == folder


def test_a_name_as_long_as_the_file_system_takes_it_serves_as_well(tmp_path: Path) -> None:
    name = "a" * 251 + ".pdf"
    files(tmp_path).persist_file(name, BytesIO(b"whole"), None)
    assert (tmp_path / name).read_bytes() == b"whole"


def test_another_files_store_is_left_alone(tmp_path: Path) -> None:
    assert "persist_file" not in vars(files(tmp_path, OwnFilesStore))
