"""Fingerprints of requests, with a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.lru import GENERATION_SIZE, RecentMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.utils.request import RequestFingerprinterProtocol

LONGEST_URL: Final = 300
"""Characters; longer URLs are not cached. Two generations of URLs with 60 characters take about
8 MB."""


def fingerprints(fingerprinter: RequestFingerprinterProtocol) -> Callable[[Request], bytes]:
    """The function that computes fingerprints. Those of Scrapy's own class are cached, since it is
    known what they depend on; those of other classes are not."""
    from scrapy.utils.request import RequestFingerprinter  # it imports Twisted

    if type(fingerprinter) is RequestFingerprinter:
        return RecentFingerprints(fingerprinter.fingerprint).of
    return fingerprinter.fingerprint


class RecentFingerprints(RecentMap[str, bytes]):
    """A cache of the fingerprints of GET requests, by URL, for the last ``generation_size`` URLs to
    twice as many.

    Pages repeat one another's links, and to canonicalize and hash a URL takes longer than all else
    that a known link costs.
    """

    def __init__(
        self, fingerprint: Callable[[Request], bytes], generation_size: int = GENERATION_SIZE
    ) -> None:
        super().__init__(generation_size)
        self._fingerprint = fingerprint

    def of(self, request: Request) -> bytes:
        """The request's fingerprint: 20 bytes with Scrapy's own class."""
        if request.method != "GET" or request.body or request.meta.get("verbatim_url"):
            return self._fingerprint(request)
        url = request.url
        known = self.get(url)
        if known is None:
            known = self._fingerprint(request)
            if len(url) <= LONGEST_URL:
                self.put(url, known)
        return known
