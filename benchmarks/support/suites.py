"""What the contest is held on: sites, callbacks and settings, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

READINGS = ("cheap", "usual")
"""How the spider's callback finds its links: see ``LinkedSpider``."""


@dataclass(frozen=True)
class Configuration:
    """A site and a crawl of it, the same for all contestants."""

    pages: int = 5_000
    links: int = 20
    """A page; 1: the site is a chain."""
    reading: str = "usual"
    hosts: int = 1
    latency: float = 0.0
    """Seconds, of each page."""
    settings: tuple[str, ...] = ()
    """``NAME=VALUE``, Scrapy's."""

    def __str__(self) -> str:
        told = (
            f"{self.pages:,} pages, {self.links} links a page, {self.reading} callback, "
            f"{self.hosts} hosts, latency {self.latency:g} s"
        )
        return ", ".join([told, *self.settings])


@dataclass(frozen=True)
class Suite:
    """Configurations of one kind, and how many rounds each takes if nothing else is said."""

    rounds: int
    configurations: Sequence[Configuration]


ONE = Suite(6, [Configuration()])

SUITES = {
    # Enough rounds for an interval of the ratio that says something.
    "headline": Suite(20, [Configuration(reading=reading) for reading in READINGS]),
    "links": Suite(
        6,
        [
            Configuration(pages, links, reading)
            for pages, links in ((5_000, 5), (1_000, 100))
            for reading in READINGS
        ],
    ),
    "hosts": Suite(
        6,
        [
            Configuration(hosts=100, latency=0.05),
            Configuration(hosts=100, latency=0.05, settings=("DOWNLOAD_DELAY=0.5",)),
        ],
    ),
    "size": Suite(2, [Configuration(pages=30_000, reading=reading) for reading in READINGS]),
}
