"""What Scrapy's feed exporter does for one file of a feed: its URI, and the slot that writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.extensions.feedexport import FeedExporter

if TYPE_CHECKING:
    from scrapy.extensions.feedexport import FeedSlot


class SlotMakingExporter(FeedExporter):
    """Scrapy's exporter, whose private methods for one file can be called by a subclass."""

    def uri_parameters(self, options: dict[str, Any], slot: FeedSlot | None) -> dict[str, Any]:
        """The parameters of the URI of the batch after that of the slot; ``None``: of the first.

        ``options`` are those of the feed, as Scrapy has completed them.
        """
        spider = self.crawler.spider
        assert spider is not None
        parameters: dict[str, Any] = self._get_uri_params(spider, options["uri_params"], slot)
        return parameters

    def open_slot(
        self, template: str, options: dict[str, Any], batch_id: int, uri: str
    ) -> FeedSlot:
        """A new slot for the file with that URI."""
        spider = self.crawler.spider
        assert spider is not None
        return self._start_new_batch(
            batch_id=batch_id,
            uri=uri,
            feed_options=options,
            spider=spider,
            uri_template=template,
        )
