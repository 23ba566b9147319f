"""Counts the files that media pipelines could not get, as failed items of their request.

A media pipeline passes an item on without the files that it lost: nothing else distinguishes its
request from one that lost none. These methods of each media pipeline are wrapped, all of them
public: ``get_media_requests`` says which files are wanted, ``media_downloaded`` with which status
the site answered, ``item_completed`` what became of each file.

A file that is filtered (``IgnoreRequest``: robots.txt, offsite) is not lost, just as a page that is
filtered is ``ignored`` and not ``failed``. If the item itself is dropped, or a pipeline raises an
error for it, its files are not counted in addition.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from scrapy.exceptions import IgnoreRequest
from scrapy.pipelines import files, media
from scrapy.pipelines.media import MediaPipeline
from scrapy.utils.misc import arg_to_iter
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scrapy_resume.engine.current import current_item
from scrapy_resume.errors import http_status_text, message_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response

_FileException: Final[type[Exception]] = (
    media.FileException if hasattr(media, "FileException") else files.FileException
)
"""Scrapy 2.19 has moved it."""

_STATUS: Final = "scrapy_resume_http_status"
"""Attribute of an error: the HTTP status of the response that led to it, unless it is 200."""


def count_lost_files(engine: ExecutionEngine) -> None:
    """Have the media pipelines of a crawl report the files that they could not get."""
    for pipeline in engine.scraper.itemproc.middlewares:
        if isinstance(pipeline, MediaPipeline):
            _LostFiles(pipeline).install()


def note_statuses(pipeline: Any) -> None:
    """Have a media pipeline that no item passes note with which status a site answered, for
    ``lost_file``."""
    pipeline.media_downloaded = _LostFiles(pipeline).media_downloaded


def forget_failures(pipeline: Any, requests: Sequence[Request], info: Any) -> None:
    """Have a media pipeline try files again: it remembers those that it could not get until the
    run ends."""
    fingerprint = pipeline.crawler.request_fingerprinter.fingerprint
    for request in requests:
        key = fingerprint(request)
        if isinstance(info.downloaded.get(key), Failure):
            del info.downloaded[key]


def lost_file(url: str | None, failure: Failure) -> tuple[str, str] | None:
    """(class name, message) of the error for which a media pipeline lost the file at ``url``
    (``None``: unknown); ``None``: the file was filtered.

    Media pipelines raise a ``FileException`` without a message in place of what has happened, which
    is its context.
    """
    error = failure.value
    status = None
    chain = list(_chain(error))
    if any(isinstance(one, IgnoreRequest) for one in chain):
        return None
    for one in chain:
        status = status or getattr(one, _STATUS, None)
    told = next((one for one in reversed(chain) if message_of(one)), chain[-1])
    what = message_of(told) if status is None else http_status_text(status)
    file = "a file" if url is None else f"file {url}"
    return type(told).__name__, f"{file}: {what or type(told).__name__}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it stands for: of a ``FileException``, its cause or context."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if not isinstance(error, _FileException):
            return
        error = error.__cause__ or error.__context__


class _LostFiles:
    """The files that one media pipeline lost."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._requests_of = pipeline.get_media_requests
        self._downloaded = pipeline.media_downloaded
        self._completed = pipeline.item_completed

    def install(self) -> None:
        self._pipeline.get_media_requests = self._get_media_requests
        self._pipeline.media_downloaded = self.media_downloaded
        self._pipeline.item_completed = self._item_completed

    def _get_media_requests(self, item: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
        requests = list(arg_to_iter(self._requests_of(item, info, *args, **kwargs)))
        current = current_item()
        if current is not None:
            wanted = current.wanted_files or {}
            current.wanted_files = {**wanted, id(self._pipeline): requests}
            if current.row.supersedes:
                # A page is fetched again: its files are tried again too.
                forget_failures(self._pipeline, requests, info)
        return requests

    def media_downloaded(
        self, response: Response, request: Request, *args: Any, **kwargs: Any
    ) -> Any:
        """The pipeline's method; an error that it raises knows the status."""
        try:
            result = self._downloaded(response, request, *args, **kwargs)
        except Exception as error:
            _note_status(error, response)
            raise
        if inspect.iscoroutine(result):
            return _noting(result, response)
        if isinstance(result, Deferred):
            result.addErrback(_noted, response)
        return result

    def _item_completed(
        self, results: Sequence[tuple[bool, Any]], item: Any, info: Any, *args: Any, **kwargs: Any
    ) -> Any:
        current = current_item()
        if current is not None:
            requests = (current.wanted_files or {}).get(id(self._pipeline), ())
            urls = [request.url for request in requests]
            lost = list(current.lost_files or ())
            for place, (ok, value) in enumerate(results):
                url = urls[place] if place < len(urls) else None
                if not ok and (error := lost_file(url, value)) is not None:
                    lost.append(error)
            current.lost_files = lost or None
        return self._completed(results, item, info, *args, **kwargs)


async def _noting(downloading: Coroutine[Any, Any, Any], response: Response) -> Any:
    try:
        return await downloading
    except Exception as error:
        _note_status(error, response)
        raise


def _noted(failure: Failure, response: Response) -> Failure:
    if failure.value is not None:
        _note_status(failure.value, response)
    return failure


def _note_status(error: BaseException, response: Response) -> None:
    if response.status != 200:
        setattr(error, _STATUS, response.status)
