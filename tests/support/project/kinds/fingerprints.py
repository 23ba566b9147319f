"""A fingerprinter of the user's own."""

from __future__ import annotations

from scrapy import Request
from w3lib.url import url_query_cleaner

from kinds.base import path_of


class SessionBlindFingerprinter:
    """Requests that differ in nothing but ``session`` are the same request."""

    def fingerprint(self, request: Request) -> bytes:
        url = url_query_cleaner(request.url, ["session"], remove=True)
        return f"{request.method} {path_of(url)}".encode()
