"""The metadata of a stage: a dict that the program may change at any time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from scrapy_resume.store.contract import MetadataChange

logger = logging.getLogger("scrapy_resume")


class StageMetadata:
    """Keeps the dict, and says what has changed in it since the last batch."""

    def __init__(self, stored: Mapping[str, object]) -> None:
        self.values: dict[str, Any] = dict(stored)
        self._text = json.dumps(self.values)
        self._stored: dict[str, Any] = json.loads(self._text)
        self._complained = False

    def change(self) -> MetadataChange | None:
        """What has changed; ``None``: nothing, or JSON cannot hold it, which is logged once."""
        try:
            text = json.dumps(self.values)
        except (TypeError, ValueError) as error:
            if not self._complained:
                self._complained = True
                logger.error("stage.metadata cannot be stored, and stays as it was: %s", error)
            return None
        if text == self._text:
            return None
        values = json.loads(text)
        changed = {
            name: value
            for name, value in values.items()
            if name not in self._stored or self._stored[name] != value
        }
        removed = sorted(self._stored.keys() - values.keys())
        self._text, self._stored, self._complained = text, values, False
        return MetadataChange(changed, removed)
