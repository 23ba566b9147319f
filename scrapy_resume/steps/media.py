"""Scrapy's media pipelines as steps, with their settings.

A file that cannot be had fails the attempt; what was had is kept, and the next attempt asks for
what is missing only. Of a pipeline only its public methods are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from itemadapter import ItemAdapter
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline
from scrapy.utils.misc import arg_to_iter, build_from_crawler

from scrapy_resume.engine.media_losses import forget_failures, lost_file, note_statuses
from scrapy_resume.engine.step_calls import detached
from scrapy_resume.steps.components import call_with_spider
from scrapy_resume.steps.outcomes import StepIncomplete
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from scrapy_resume.steps.fetching import Fetch


class FilesMissingError(StepIncomplete):
    """Files of an item could not be had. The message names their URLs and the reasons."""


class _Downloads:
    """What one attempt asks for, and what came of it."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.results: Sequence[tuple[bool, Any]] = ()


class _FetchingEngine:
    """The engine as a pipeline sees it: it downloads as ``fetch`` does."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self.fetch: Fetch | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crawler.engine, name)

    async def download_async(self, request: Request) -> Response:
        assert self.fetch is not None
        return await self.fetch(request)


class _FetchingCrawler:
    """The crawler as a pipeline sees it."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self.engine = _FetchingEngine(crawler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crawler, name)


class Files:
    """``FilesPipeline`` as a step: FILES_STORE and its other settings.

    To have another pipeline's methods, such as ``file_path``, subclass it and set
    ``pipeline_class``.
    """

    name = "files"
    timeout = 600.0
    """Seconds for all files of an item together."""
    pipeline_class: ClassVar[type[FilesPipeline]] = FilesPipeline

    def __init__(self, pipeline: Any, urls_field: str, result_field: str) -> None:
        """``urls_field``, ``result_field``: where the item has the URLs, and gets the files."""
        self.pipeline = pipeline
        self.needs = urls_field
        self._result_field = result_field
        self._downloads: dict[int, _Downloads] = {}
        """By ``id`` of the item that the pipeline has."""
        self._completed = pipeline.item_completed
        self._requests_of = pipeline.get_media_requests
        pipeline.crawler = crawler = _FetchingCrawler(pipeline.crawler)
        self._engine = crawler.engine
        pipeline.get_media_requests = self._get_media_requests
        pipeline.item_completed = self._item_completed
        note_statuses(pipeline)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Files:
        """Raises ``NotConfigured`` if the setting for the store is empty."""
        pipeline = build_from_crawler(cls.pipeline_class, crawler)
        return cls(pipeline, pipeline.files_urls_field, pipeline.files_result_field)

    async def open_spider(self, spider: Spider) -> None:
        """Open the pipeline."""
        await call_with_spider(self.pipeline, "open_spider", spider)

    async def process_item(self, item: Any, fetch: Fetch) -> dict[str, Any]:
        """Download the files that the item does not have yet, in a fleet by whoever owns the host.

        Returns the fields that the pipeline has changed. Raises ``FilesMissingError``.
        """
        self._engine.fetch = fetch
        info = self.pipeline.spiderinfo
        adapter = ItemAdapter(item)
        before = dict(adapter)
        had = {file["url"]: file for file in adapter.get(self._result_field) or ()}
        all_requests = list(arg_to_iter(self._requests_of(item, info)))
        wanted = [request for request in all_requests if request.url not in had]
        urls = [request.url for request in wanted]
        forget_failures(self.pipeline, wanted, info)
        downloads = self._downloads[id(item)] = _Downloads(wanted)
        try:
            # A pipeline that is cancelled in a download waits for that file for ever after.
            await detached(self.pipeline.process_item(item))
        finally:
            del self._downloads[id(item)]
        fields = {
            name: value
            for name, value in adapter.items()
            if name not in before or value is not before[name]
        }
        lost = []
        for url, (ok, value) in zip(urls, downloads.results, strict=False):
            if ok:
                had[url] = value
            elif (error := lost_file(url, value)) is not None:
                lost.append(error[1])
        if self._result_field in fields or had:
            files = [had[request.url] for request in all_requests if request.url in had]
            fields[self._result_field] = files
        if lost:
            whole = counted(len(all_requests), self.pipeline.MEDIA_NAME)
            raise FilesMissingError(f"{len(lost)} of {whole} missing: {'; '.join(lost)}", fields)
        return fields

    def _get_media_requests(self, item: Any, info: Any, **_: Any) -> Sequence[Request]:
        return self._downloads[id(item)].requests

    def _item_completed(self, results: Any, item: Any, info: Any, **more: Any) -> Any:
        self._downloads[id(item)].results = results
        return self._completed(results, item, info, **more)


class Images(Files):
    """``ImagesPipeline`` as a step: IMAGES_STORE and its other settings."""

    name = "images"
    pipeline_class: ClassVar[type[FilesPipeline]] = ImagesPipeline

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Images:
        """Raises ``NotConfigured`` if the setting for the store is empty, or Pillow is not
        installed."""
        pipeline: Any = build_from_crawler(cls.pipeline_class, crawler)
        return cls(pipeline, pipeline.images_urls_field, pipeline.images_result_field)
