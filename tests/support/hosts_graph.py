"""Pages that hang together over many hosts: which host has a page, and what it links to.

Hosts are loopback addresses, ``127.0.1.1`` and so on: they differ for Scrapy's download slots,
and need neither a network nor a resolver (on Linux, where all of 127.0.0.0/8 is the machine).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Literal
from urllib.parse import urlsplit

Spread = Literal["even", "uneven"]
Links = Literal["tree", "chain"]

PATH = "/page/"
MOST_HOSTS = 250


@dataclass(frozen=True)
class HostGraph:
    """``pages`` numbered from 0, all reachable from page 0.

    ``uneven``: a few hosts have most pages; each host has one at least. ``chain``: each page
    links to the next one only, so that never more than one request is open. With several
    ``chains`` the pages 0, 1, … each begin one; they are as many start requests.
    """

    hosts: int = 20
    pages: int = 300
    spread: Spread = "even"
    links: Links = "tree"
    chains: int = 1

    def __post_init__(self) -> None:
        assert 0 < self.hosts <= min(MOST_HOSTS, self.pages), "hosts without a page, or too many"

    @classmethod
    def parse(cls, text: str) -> HostGraph:
        """Back from ``str``, as spiders and the site's process are given it."""
        hosts, pages, spread, links, chains = text.split(",")
        chosen: Any = {"spread": spread, "links": links, "chains": int(chains)}
        return cls(int(hosts), int(pages), **chosen)

    def __str__(self) -> str:
        return f"{self.hosts},{self.pages},{self.spread},{self.links},{self.chains}"

    @cached_property
    def host_names(self) -> list[str]:
        return [f"127.0.1.{place + 1}" for place in range(self.hosts)]

    @cached_property
    def _places(self) -> list[int]:
        """The place of each page's host."""
        if self.spread == "even":
            return [page % self.hosts for page in range(self.pages)]
        chance = Random(self.pages)
        skewed = [int(self.hosts * chance.random() ** 3) for _ in range(self.pages)]
        return [*range(self.hosts), *skewed[self.hosts :]]

    def host_of(self, page: int) -> str:
        return self.host_names[self._places[page]]

    def links_of(self, page: int) -> list[int]:
        """Children first, then a page that is likely to be known: on the same host, if even."""
        if self.links == "chain":
            return [page + self.chains] if page + self.chains < self.pages else []
        children = [3 * page + place for place in (1, 2, 3)]
        across = [(page + self.hosts) % self.pages, (page * 7 + 3) % self.pages]
        return [*(child for child in children if child < self.pages), *across]

    def url(self, page: int, port: int) -> str:
        return f"http://{self.host_of(page)}:{port}{PATH}{page}"


def page_of(url: str) -> int:
    """The number of the page with that URL, or path."""
    return int(urlsplit(url).path.removeprefix(PATH))
