"""Cities of very different sizes, each a unit, with pages to which everything happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from scrapy import Request, Spider
from scrapy.http import Response
from twisted.python.failure import Failure

KINDS = ("leaf", "flaky", "error", "missing", "redirect", "raise", "lambda")
"""What happens to a page; the first is nothing."""


def size_of(city: int, largest: int) -> int:
    """From 1 to ``largest`` pages."""
    return 1 + city * city % largest


def kind_of(city: int, page: int) -> str:
    """The first page of a city is as it should be."""
    chosen = (city * 5 + page * 3) % 13
    return KINDS[chosen] if page and chosen < len(KINDS) else "leaf"


def path_of(city: int, page: int) -> str:
    name = f"{1000 * city + page}"
    paths = {"flaky": f"/flaky/{name}?times=1", "redirect": f"/redirect/{name}?hops=1"}
    kind = kind_of(city, page)
    return paths.get(kind, f"/{kind if kind in ('error', 'missing') else 'leaf'}/{name}")


def counted(hits: Iterable[Any], count: int) -> dict[str, dict[str, int]]:
    """The cities as the site's log tells them: by how the pages' last answers were."""
    answers = {hit.url.partition("?")[0]: hit.status for hit in hits if hit.status not in (0, 503)}
    found: dict[str, Counter[str]] = {f"city {city}": Counter() for city in range(count)}
    for path, status in answers.items():
        city, page = divmod(int(path.rpartition("/")[2]), 1000)
        counts = found[f"city {city}"]
        if status == 200:
            counts["failed" if kind_of(city, page) == "raise" else "done"] += 1
            counts["items"] += page % 3
        elif status in (404, 500):
            counts["ignored" if status == 404 else "failed"] += 1
    return {name: {k: n for k, n in counts.items() if n} for name, counts in found.items()}


def shown(units: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The same, as the store tells it; nothing is open any more."""
    names = ("open", "done", "failed", "parked", "ignored", "items", "items_failed")
    return {unit["unit"]: {name: unit[name] for name in names if unit[name]} for unit in units}


class CitiesSpider(Spider):
    """``-a site=URL -a count=50``: cities with even numbers are chains of pages."""

    name = "cities"
    site: str
    count = "50"
    largest = "29"

    async def start(self) -> AsyncIterator[Any]:
        for city in range(int(self.count)):
            yield self.page(city, 0, meta={"resume_unit": f"city {city}"})

    def page(self, city: int, page: int, **more: Any) -> Request:
        more = {
            "callback": self.parse,
            "errback": self.failed,
            "cb_kwargs": {"city": city, "page": page},
            **more,
        }
        if kind_of(city, page) == "lambda":
            more["callback"] = lambda response, **kwargs: self.parse(response, **kwargs)
        return Request(urljoin(self.site, path_of(city, page)), **more)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        city, page = kwargs["city"], kwargs["page"]
        for number in range(page % 3):
            yield {"city": city, "page": page, "number": number}
        yield from self.following(city, page)
        if kind_of(city, page) == "raise":
            raise ValueError(f"page {page} of city {city} is odd")

    def failed(self, failure: Failure) -> Iterator[Any]:
        yield from self.following(**failure.request.cb_kwargs)  # type: ignore[attr-defined]

    def following(self, city: int, page: int) -> Iterator[Any]:
        size = size_of(city, int(self.largest))
        if city % 2 == 0:
            if page + 1 < size:
                yield self.page(city, page + 1)
        elif page == 0:
            for number in range(1, size):
                yield self.page(city, number)


FILE = Path(__file__)
ADDON = 'ADDONS={"scrapy_resume.Addon": 500}'


def words(
    site_url: str, location: str, settings: Mapping[str, Any], **arguments: object
) -> list[str]:
    """The words after ``scrapy`` for a crawl of the cities."""
    given = {"RESUME_STORE": location, "RETRY_TIMES": 1, "RESUME_RETRY_DELAY": 0.05, **settings}
    options = [word for name, value in given.items() for word in ("-s", f"{name}={value}")]
    given_arguments = {"site": site_url, **arguments}
    chosen = [word for name, value in given_arguments.items() for word in ("-a", f"{name}={value}")]
    job = ["-s", "RESUME_JOB=cities", "-s", ADDON]
    return ["runspider", str(FILE), *chosen, *job, *options]
