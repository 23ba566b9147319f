"""Masks the passwords of URLs in the log lines of the package."""

from __future__ import annotations

import logging
from typing import Final

from scrapy_resume.settings.masking import masked_text

_FORMATTER: Final = logging.Formatter()


def mask_record(record: logging.LogRecord) -> bool:
    """A filter of a logger: every record passes, without the passwords of the URLs in it.

    Pages' URLs and errors' messages have them, tracebacks too. Control characters other than
    line breaks and tabs are escaped: what a page says must not reach a terminal raw.
    """
    message = record.getMessage()
    shown = _shown(message)
    if shown != message:
        record.msg, record.args = shown, ()
    if record.exc_info and not record.exc_text:
        record.exc_text = _shown(_FORMATTER.formatException(record.exc_info))
    return True


def _shown(text: str) -> str:
    masked = masked_text(text)
    if masked.isprintable():
        return masked
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in masked
    )
