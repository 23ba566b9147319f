"""What screens and log lines call the work of a job: pages and requests of a crawl, tasks of a
stage. Documents (``--json``) have the same keys for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from scrapy_resume.model import STAGE


class Nouns(NamedTuple):
    """The words for one kind of job."""

    request: str
    """What has a state."""
    page: str
    """What is counted in a run, and by the minute."""
    url: str
    """The heading of what tells one from the other."""
    fetch: str
    """The verb for what is done with it."""
    fetched: str
    in_flight: str
    crawl: str
    """A run of the job, in a sentence."""
    program: str
    """What is started again to go on."""
    host: str
    """What tables group by."""
    work: str
    """The verb for what a worker does to the job."""
    way_back: str
    """How to have again what stored work names and the code lacks; another way follows."""
    has_http: bool
    """It has HTTP statuses, which tables show."""


CRAWL_NOUNS: Final = Nouns(
    request="request",
    page="page",
    url="URL",
    fetch="fetch",
    fetched="fetched",
    in_flight="in flight",
    crawl="crawl",
    program="crawl",
    host="host",
    work="crawling",
    way_back="put it back, or ",
    has_http=True,
)
STAGE_NOUNS: Final = Nouns(
    request="task",
    page="task",
    url="KEY",
    fetch="do",
    fetched="done",
    in_flight="in work",
    crawl="run",
    program="program",
    host="map",
    work="working on",
    way_back="give a map that name, map(…, name=…), or ",
    has_http=False,
)


def nouns_of(kind: str | None) -> Nouns:
    """Those of a kind of job. ``None``: it is not known, as of a job that cannot be read."""
    return STAGE_NOUNS if kind == STAGE else CRAWL_NOUNS


def nouns_of_all(answers: Iterable[Mapping[str, Any]]) -> Nouns | None:
    """Those of several jobs, from their documents; ``None``: there are crawls and stages."""
    found = {nouns_of(answer["kind"]) for answer in answers if answer.get("kind")}
    return found.pop() if len(found) == 1 else None if found else CRAWL_NOUNS
