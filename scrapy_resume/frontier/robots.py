"""Where robots.txt is obeyed: which row has a host's robots.txt loaded, and which ones wait."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from scrapy_resume.frontier.row import Row

HOSTS_REMEMBERED: Final = 20_000
"""Hosts whose robots.txt is known to be loaded. Of a host that was forgotten, one row goes first
again."""


class RobotsGate:
    """Dispatches one request for each host first, until its robots.txt is loaded.

    While it loads, Scrapy applies its rules only to the first of the requests that wait for it, and
    lets the others pass. So the others are not dispatched until the first has passed.
    """

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._first: dict[Row, str] = {}
        """Rows that have robots.txt loaded, and of which host: a redirect changes the row's URL."""
        self._passed: OrderedDict[str, None] = OrderedDict()

    def lets_through(self, row: Row) -> bool:
        """Whether the host's robots.txt is loaded, or the row may be the one that has it loaded."""
        host = _host(row.url)
        return host in self._passed or host not in self._waiting

    def sent(self, row: Row) -> None:
        """A row is about to be dispatched."""
        host = _host(row.url)
        if host not in self._passed and host not in self._waiting:
            self._waiting.add(host)
            self._first[row] = host

    def not_sent(self, row: Row) -> None:
        """The row was not dispatched after all: another one may go first."""
        host = self._first.pop(row, None)
        if host is not None:
            self._waiting.remove(host)

    def passed(self, row: Row) -> bool:
        """The row has passed the robots.txt middleware, or ended before.

        Returns whether other rows may have waited for that.
        """
        host = self._first.pop(row, None)
        if host is None:
            return False
        self._waiting.remove(host)
        self._passed[host] = None
        if len(self._passed) > HOSTS_REMEMBERED:
            self._passed.popitem(last=False)
        return True


def _host(url: str) -> str:
    return urlsplit(url).netloc
