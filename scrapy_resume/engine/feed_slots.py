"""Opens the files of a feed with the private methods of Scrapy's feed exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.extensions.feedexport import FeedExporter

from scrapy_resume.databases.address import FORMAT
from scrapy_resume.engine.private_api import require

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.extensions.feedexport import FeedSlot, ItemFilter


class SlotMakingExporter(FeedExporter):
    """Scrapy's exporter, with public methods for the private ones that handle one file."""

    def __init__(self, crawler: Crawler) -> None:
        """Raises ``ScrapyChangedError``."""
        require("FeedExporter", self)
        super().__init__(crawler)

    def _storage_supported(self, uri: str, feed_options: dict[str, Any]) -> bool:
        if feed_options["format"] == FORMAT:
            return True  # a database, which is no file that Scrapy stores
        return bool(super()._storage_supported(uri, feed_options))

    def _exporter_supported(self, format_: str) -> bool:
        return format_ == FORMAT or bool(super()._exporter_supported(format_))

    def uri_parameters(self, options: dict[str, Any], slot: FeedSlot | None) -> dict[str, Any]:
        """The parameters of a file's URI.

        ``options`` are those of the feed, with Scrapy's defaults. ``slot`` has written the file
        before this one; ``None``: this is the first file of the feed.
        """
        spider = self.crawler.spider
        assert spider is not None
        parameters: dict[str, Any] = self._get_uri_params(spider, options["uri_params"], slot)
        return parameters

    def new_filter(self, options: dict[str, Any]) -> ItemFilter:
        """Another filter for a feed with these options."""
        made: ItemFilter = self._load_filter(options)
        return made

    def open_slot(
        self, template: str, options: dict[str, Any], batch_id: int, uri: str
    ) -> FeedSlot:
        """A new slot, which writes a file of the feed.

        ``template`` is the feed's URI with unfilled parameters, ``batch_id`` the number of the
        file from 1, ``uri`` its URI.
        """
        spider = self.crawler.spider
        assert spider is not None
        return self._start_new_batch(
            batch_id=batch_id,
            uri=uri,
            feed_options=options,
            spider=spider,
            uri_template=template,
        )
