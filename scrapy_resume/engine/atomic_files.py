"""Writes the entries of the HTTP cache and the files of media pipelines atomically.

Scrapy writes them in place: after a SIGKILL an incomplete cache entry is read as an empty page, an
incomplete image counts as up to date. Here each is written under another name, then renamed.

With RESUME_DURABILITY = "full" they are also synced before that: otherwise a power cut may leave an
empty file under the new name, if it was written in the last half minute or so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.extensions.httpcache import FilesystemCacheStorage
from scrapy.pipelines.files import FilesPipeline, FSFilesStore

from scrapy_resume.disk import sync_directory, sync_file
from scrapy_resume.engine.private_api import require
from scrapy_resume.model import digest

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response


def write_files_atomically(
    engine: ExecutionEngine, pipelines: Iterable[Any] = (), *, durable: bool = False
) -> None:
    """Have the HTTP cache and the media pipelines of a crawl write their files atomically.

    ``pipelines``: media pipelines beside those of the engine. ``durable``: a file that is there is
    whole after a power cut too.

    Only Scrapy's own storages of the local file system are changed; subclasses and others are not.
    Raises ``ScrapyChangedError``.
    """
    for middleware in engine.downloader.middleware.middlewares:
        storage = getattr(middleware, "storage", None)
        if isinstance(middleware, HttpCacheMiddleware) and type(storage) is FilesystemCacheStorage:
            require("FilesystemCacheStorage", storage)
            _AtomicCacheEntries(storage, durable=durable).install()
    for pipeline in (*engine.scraper.itemproc.middlewares, *pipelines):
        store = getattr(pipeline, "store", None)
        if isinstance(pipeline, FilesPipeline) and type(store) is FSFilesStore:
            require("FSFilesStore", store)
            _AtomicMediaFiles(store, durable=durable).install()


def _part_of(path: Path) -> Path:
    """Where a file is written before it is complete. The name is short, so that it is valid where
    the file's own name is, and each process has another one."""
    name = digest(os.fsencode(path.name)).hex()
    return path.with_name(f".{name}.{os.getpid()}.part")


def _sync_all(paths: Iterable[Path]) -> None:
    for path in paths:
        (sync_directory if path.is_dir() else sync_file)(path)


def _clear(path: Path) -> None:
    """Remove what has the name: a dead process of this number may have left it, or somebody may
    have put a link there, which Scrapy would follow."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _AtomicCacheEntries:
    """Entries of ``FilesystemCacheStorage``: each is a directory of files."""

    def __init__(self, storage: Any, *, durable: bool) -> None:
        self._storage = storage
        self._durable = durable
        self._path_of = storage._get_request_path
        self._store = storage.store_response
        self._writing: Path | None = None

    def install(self) -> None:
        self._storage._get_request_path = self._get_request_path
        self._storage.store_response = self._store_response

    def _get_request_path(self, spider: Spider, request: Request) -> str:
        if self._writing is not None:
            return str(self._writing)
        return str(self._path_of(spider, request))

    def _store_response(self, spider: Spider, request: Request, response: Response) -> None:
        whole = Path(self._path_of(spider, request))
        part = _part_of(whole)
        _clear(part)
        self._writing = part
        try:
            self._store(spider, request, response)
        finally:
            self._writing = None
        if self._durable:
            _sync_all([*part.iterdir(), part])
        if whole.exists():
            # A directory cannot be replaced in one step. Between the steps there is no entry, and
            # the page is fetched.
            old = part.with_suffix(".old")
            _clear(old)
            whole.rename(old)
            part.rename(whole)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.rename(whole)
        if self._durable:
            _sync_all([whole.parent, whole.parent.parent])


class _AtomicMediaFiles:
    """Files of ``FSFilesStore``."""

    def __init__(self, store: Any, *, durable: bool) -> None:
        self._store = store
        self._durable = durable
        self._persist = store.persist_file

    def install(self) -> None:
        self._store.persist_file = self._persist_file

    def _persist_file(self, path: Any, buf: BytesIO, info: Any, *args: Any, **kwargs: Any) -> None:
        whole = self._store._get_filesystem_path(path)
        part = _part_of(whole)
        _clear(part)
        relative = part.relative_to(self._store.basedir)
        self._persist(str(relative).replace(os.sep, "/"), buf, info, *args, **kwargs)
        if self._durable:
            _sync_all([part])
        os.replace(part, whole)
        if self._durable:
            _sync_all([whole.parent, whole.parent.parent])
