"""Where robots.txt is obeyed: who loads a host's rules, and who waits for them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from scrapy_resume.frontier.row import Row

HOSTS_REMEMBERED: Final = 20_000
"""Hosts whose robots.txt is known to be there; a forgotten one is let through singly again."""


class RobotsGate:
    """One request for a host first, where robots.txt is obeyed.

    While a host's robots.txt loads, Scrapy lets all but the first waiting requests
    through without its rules; so the others wait until the first has passed.
    """

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._first: dict[Row, str] = {}
        """Rows that load a host's rules, and that host: a redirect changes the row's URL."""
        self._passed: OrderedDict[str, None] = OrderedDict()

    def lets_through(self, row: Row) -> bool:
        """The host's rules are known, or the row may be the one that loads them."""
        host = _host(row.url)
        return host in self._passed or host not in self._waiting

    def sent(self, row: Row) -> None:
        """The row is handed to the engine."""
        host = _host(row.url)
        if host not in self._passed and host not in self._waiting:
            self._waiting.add(host)
            self._first[row] = host

    def not_sent(self, row: Row) -> None:
        """The row was not handed to the engine after all: another one is to load the rules."""
        host = self._first.pop(row, None)
        if host is not None:
            self._waiting.remove(host)

    def passed(self, row: Row) -> bool:
        """The row has been through the robots.txt middleware, or ended before.

        Returns whether others were kept waiting for that.
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
