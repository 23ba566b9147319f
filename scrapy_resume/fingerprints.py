"""Fingerprints of requests; those of links that came lately are not worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy.utils.request import RequestFingerprinter

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.utils.request import RequestFingerprinterProtocol

GENERATION_SIZE: Final = 16_384
"""Two generations of URLs with 60 characters take about 8 MB."""

LONGEST_URL: Final = 300
"""Characters: longer ones are not remembered."""


def fingerprints(fingerprinter: RequestFingerprinterProtocol) -> Callable[[Request], bytes]:
    """How to get fingerprints. Only of Scrapy's own class is known what they depend on."""
    if type(fingerprinter) is RequestFingerprinter:
        return RecentFingerprints(fingerprinter.fingerprint).of
    return fingerprinter.fingerprint


class RecentFingerprints:
    """Those of the last ``generation_size`` to twice as many URLs that were asked for by GET.

    Pages repeat one another's links; to make a URL canonical and hash it takes longer than all
    else that a known link costs here.
    """

    def __init__(
        self, fingerprint: Callable[[Request], bytes], generation_size: int = GENERATION_SIZE
    ) -> None:
        self._fingerprint = fingerprint
        self._generation_size = generation_size
        self._young: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}

    def of(self, request: Request) -> bytes:
        """The request's fingerprint."""
        if request.method != "GET" or request.body or request.meta.get("verbatim_url"):
            return self._fingerprint(request)
        url = request.url
        known = self._young.get(url)
        if known is not None:
            return known
        known = self._old.get(url) or self._fingerprint(request)
        if len(url) <= LONGEST_URL:
            if len(self._young) >= self._generation_size:
                self._old, self._young = self._young, {}
            self._young[url] = known
        return known
