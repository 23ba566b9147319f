"""Fingerprints of requests; those of links that came lately are not worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.lru import GENERATION_SIZE, RecentMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.utils.request import RequestFingerprinterProtocol

LONGEST_URL: Final = 300
"""Characters: longer ones are not remembered. Two generations of URLs with 60 take about 8 MB."""


def fingerprints(fingerprinter: RequestFingerprinterProtocol) -> Callable[[Request], bytes]:
    """The function that gives fingerprints. Those of Scrapy's own class are remembered: what
    they depend on is known."""
    from scrapy.utils.request import RequestFingerprinter  # it imports Twisted

    if type(fingerprinter) is RequestFingerprinter:
        return RecentFingerprints(fingerprinter.fingerprint).of
    return fingerprinter.fingerprint


class RecentFingerprints(RecentMap[str, bytes]):
    """Those of the last ``generation_size`` to twice as many URLs that were asked for by GET.

    Pages repeat one another's links; to make a URL canonical and hash it takes longer than all
    else that a known link costs here.
    """

    def __init__(
        self, fingerprint: Callable[[Request], bytes], generation_size: int = GENERATION_SIZE
    ) -> None:
        super().__init__(generation_size)
        self._fingerprint = fingerprint

    def of(self, request: Request) -> bytes:
        """The request's fingerprint."""
        if request.method != "GET" or request.body or request.meta.get("verbatim_url"):
            return self._fingerprint(request)
        url = request.url
        known = self.get(url)
        if known is None:
            known = self._fingerprint(request)
            if len(url) <= LONGEST_URL:
                self.put(url, known)
        return known
