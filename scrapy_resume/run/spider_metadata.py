"""The metadata of a job while it is crawled: RESUME_METADATA, and ``spider.resume_metadata``, which
the spider may change at any time."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.settings import convert as to
from scrapy_resume.store.contract import MetadataChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Spider

    from scrapy_resume.store.contract import Batch

logger = logging.getLogger("scrapy_resume")

ATTRIBUTE: Final = "resume_metadata"


class SpiderMetadata:
    """Adds to the batches what the spider has changed in its metadata."""

    def __init__(
        self, spider: Spider, given: Mapping[str, object], at_opening: Mapping[str, object]
    ) -> None:
        """``given``: RESUME_METADATA; ``at_opening``: that, with the spider's, as it was stored."""
        self._spider = spider
        self._given = dict(given)
        self._complained = False
        self._text = ""
        """The spider's own, as JSON, when it was last looked at."""
        self.values: dict[str, object] = dict(at_opening)
        """As it is stored with the next batch at the latest."""

    def complete(self, batch: Batch) -> None:
        """Add what has changed since the last batch."""
        own = getattr(self._spider, ATTRIBUTE, None)
        if own is None and not self._text:
            return
        try:
            text = json.dumps(own)
            if text == self._text:
                return
            converted = {} if own is None else to.json_object(own)
        except (TypeError, ValueError):
            self._complain(own)
            return
        self._text = text
        self._complained = False
        values = {**self._given, **converted}
        changed = {
            name: value
            for name, value in values.items()
            if name not in self.values or self.values[name] != value
        }
        removed = sorted(self.values.keys() - values.keys())
        self.values = values
        if changed or removed:
            batch.progress.metadata = MetadataChange(changed, removed)

    def _complain(self, own: Any) -> None:
        if not self._complained:
            self._complained = True
            logger.error(
                "%s.%s is %.200r, but it must be a dict with text keys and values that JSON can "
                "represent: the job's metadata stays as it was",
                type(self._spider).__name__,
                ATTRIBUTE,
                own,
            )
