"""Whether the file that the store has recorded for a feed can be one of that feed.

The feed is what the settings say; its record may have been written by somebody else. Its URI has to
be the template's, filled in: with any time and batch, with the present values of other parameters
or, if these have changed since, with one path component each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from w3lib.url import file_uri_to_path

from scrapy_resume.feeds.feed_record import FeedRecord

_PARAMETER: Final = re.compile(r"%\((\w+)\)[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%%")
_OF_ITS_TIME: Final = frozenset({"time", "batch_time", "batch_id"})
"""Parameters that keep the value that they had when the file began."""


def is_of_feed(record: FeedRecord, template: str, filled: Callable[[str], str]) -> bool:
    """``filled`` fills in a template with the present parameters."""
    if not re.fullmatch(_pattern(template, filled), record.uri, re.DOTALL):
        return False
    return record.path is None or _is_beside(record.path, record.uri)


def _pattern(template: str, filled: Callable[[str], str]) -> str:
    pattern, end = "", 0
    for found in _PARAMETER.finditer(template):
        pattern += re.escape(template[end : found.start()])
        end = found.end()
        if found[1] in _OF_ITS_TIME:
            pattern += r"[\w:.+-]+"
        elif found[1]:
            pattern += rf"(?:{re.escape(filled(found[0]))}|[^/\\.][^/\\]*)"
        else:
            pattern += "%%?"
    return pattern + re.escape(template[end:])


def _is_beside(path: str, uri: str) -> bool:
    """Whether a path is one of ``destination.free_name`` for the file of the URI."""
    own = Path(os.path.realpath(file_uri_to_path(uri) if uri.startswith("file:") else uri))
    name = rf"{re.escape(own.stem)}(\.resumed(-\d+)?)+{re.escape(own.suffix)}"
    given = Path(path)
    return given.parent == own.parent and re.fullmatch(name, given.name) is not None
