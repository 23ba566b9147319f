"""Cache entries and media files that are whole or not there, whatever ends the process.

Scrapy writes them in place: after a SIGKILL a torn cache entry reads as an empty page, a torn
image as one that is up to date. Here they are written beside, and renamed.
"""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.extensions.httpcache import FilesystemCacheStorage
from scrapy.pipelines.files import FilesPipeline, FSFilesStore

from scrapy_resume.model import digest

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response


def write_whole_files(engine: ExecutionEngine) -> None:
    """Have the HTTP cache and the media pipelines of a crawl write whole files only.

    Storages of the user's own, and those that are not the local file system, are left alone.
    """
    for middleware in engine.downloader.middleware.middlewares:
        storage = getattr(middleware, "storage", None)
        if isinstance(middleware, HttpCacheMiddleware) and type(storage) is FilesystemCacheStorage:
            _WholeEntries(storage).install()
    for pipeline in engine.scraper.itemproc.middlewares:
        store = getattr(pipeline, "store", None)
        if isinstance(pipeline, FilesPipeline) and type(store) is FSFilesStore:
            _WholeFiles(store).install()


def _part_of(path: Path) -> Path:
    """Where it is written before it is whole: a short name, one for each process that writes."""
    name = digest(os.fsencode(path.name)).hex()
    return path.with_name(f".{name}.{os.getpid()}.part")


class _WholeEntries:
    """Entries of ``FilesystemCacheStorage``: each is a directory of five files."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
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
        shutil.rmtree(part, ignore_errors=True)
        self._writing = part
        try:
            self._store(spider, request, response)
        finally:
            self._writing = None
        if whole.exists():
            # A directory cannot be replaced in one step; without an entry the page is fetched.
            old = part.with_suffix(".old")
            shutil.rmtree(old, ignore_errors=True)
            whole.rename(old)
            part.rename(whole)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.rename(whole)


class _WholeFiles:
    """Files of ``FSFilesStore``."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._persist = store.persist_file

    def install(self) -> None:
        self._store.persist_file = self._persist_file

    def _persist_file(self, path: Any, buf: BytesIO, info: Any, *args: Any, **kwargs: Any) -> None:
        whole = self._store._get_filesystem_path(path)
        part = _part_of(whole)
        relative = part.relative_to(self._store.basedir)
        self._persist(str(relative).replace(os.sep, "/"), buf, info, *args, **kwargs)
        os.replace(part, whole)
