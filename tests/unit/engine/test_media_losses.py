"""What became of the files of a media pipeline, and what is tried again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.utils.request import fingerprint
from twisted.python.failure import Failure

from scrapy_resume.engine.current import ItemInPipelines
from scrapy_resume.engine.media_losses import _FileException, _LostFiles, lost_file
from scrapy_resume.frontier.row import Row

URLS = [f"http://shop.test/{name}.pdf" for name in ("a", "b", "c")]


def raised(error: Exception, cause: Exception | None = None) -> Failure:
    """The failure of an error that was raised while ``cause`` was handled."""
    try:
        try:
            if cause is not None:
                raise cause
        finally:
            raise error
    except Exception:
        return Failure()


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (raised(_FileException("empty-content")), ("FileException", "empty-content")),
        (raised(_FileException(), ConnectionError("reset")), ("ConnectionError", "reset")),
        (raised(_FileException(), KeyError()), ("KeyError", "KeyError")),
        (raised(LookupError("no name"), ValueError("before")), ("LookupError", "no name")),
    ],
)
def test_the_error_is_what_has_happened(failure: Failure, told: tuple[str, str]) -> None:
    name, message = told
    assert lost_file(URLS[0], failure) == (name, f"file {URLS[0]}: {message}")
    assert lost_file(None, failure) == (name, f"a file: {message}")


@pytest.mark.parametrize("error", [_FileException(), _FileException("filtered")])
def test_a_file_that_is_filtered_is_not_lost(error: Exception) -> None:
    assert lost_file(URLS[0], raised(error, IgnoreRequest("robots.txt"))) is None


class Pipeline:
    """As much of a media pipeline as is wrapped."""

    def __init__(self) -> None:
        fingerprinter = SimpleNamespace(fingerprint=fingerprint)
        self.crawler = SimpleNamespace(request_fingerprinter=fingerprinter)

    def get_media_requests(self, item: Any, info: Any) -> Any:
        return (Request(url) for url in item["file_urls"])

    def media_downloaded(self, response: Response, request: Request, info: Any) -> str:
        if response.status != 200:
            raise _FileException("download-error")
        return "had"

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        return {**item, "files": [value for ok, value in results if ok]}


@pytest.fixture
def pipeline() -> Any:
    made = Pipeline()
    _LostFiles(made).install()
    return made


def item_of(row: Row) -> ItemInPipelines:
    items: Any = SimpleNamespace(begin=lambda row: 0)
    return ItemInPipelines(items, row)


def test_each_file_is_told_by_its_url_and_status(pipeline: Any) -> None:
    item = {"file_urls": URLS}
    current = item_of(Row(1, b"", recorded=True))
    current.enter()
    try:
        requests = pipeline.get_media_requests(item, None)
        results: list[tuple[bool, Any]] = []
        for request, status in zip(requests, (200, 503, 404), strict=True):
            response = Response(request.url, status=status)
            try:
                results.append((True, pipeline.media_downloaded(response, request, None)))
            except _FileException:
                results.append((False, Failure()))
        assert pipeline.item_completed(results, item, None) == {**item, "files": ["had"]}
    finally:
        current.leave()
    assert current.lost_files == [
        ("FileException", f"file {URLS[1]}: HTTP 503 Service Unavailable"),
        ("FileException", f"file {URLS[2]}: HTTP 404 Not Found"),
    ]


@pytest.mark.parametrize("again", [False, True])
def test_a_page_that_is_fetched_again_tries_again_what_it_lost(pipeline: Any, again: bool) -> None:
    """A media pipeline remembers for the whole run what it could not get."""
    row = Row(1, b"", recorded=True)
    row.supersedes = again
    had, lost, _ = (fingerprint(Request(url)) for url in URLS)
    info = SimpleNamespace(downloaded={had: {"path": "a"}, lost: raised(_FileException())})
    current = item_of(row)
    current.enter()
    try:
        pipeline.get_media_requests({"file_urls": URLS}, info)
    finally:
        current.leave()
    assert list(info.downloaded) == ([had] if again else [had, lost])
