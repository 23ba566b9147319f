"""Runs of the spider in ``wandering.py``, as ``scrapy runspider`` in a folder of their own."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scrapy_resume import open_store
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of, watched
from tests.support.site import REPO, Site
from tests.support.stores import has_jobs

SPIDER = REPO / "tests" / "support" / "wandering.py"
ADDON = 'ADDONS={"scrapy_resume.Addon": 500}'
JOB = "wandering"


class Wanderings:
    """One job's runs. ``spider`` is a copy, to be edited between them."""

    def __init__(self, site: Site, place: Workplace, launcher: Launcher) -> None:
        self.site = site
        self.place = place
        self.launcher = launcher
        self.spider = Path(shutil.copy(SPIDER, place.path / "wandering.py"))

    def run(self, settings: Mapping[str, Any] | None = None, *more: str, **how: Any) -> Run:
        given = {"RESUME_STORE": self.place.location, "RESUME_JOB": JOB, **(settings or {})}
        words = ["runspider", self.spider.name, "-a", f"site={self.site.url}", "-s", ADDON]
        return self._watched([*words, *options_of("-s", given), *more], **how)

    def scrapy(self, *words: str, plain: bool = False) -> Run:
        """Another command of Scrapy; ``plain``: without the package."""
        given = {} if plain else {"RESUME_STORE": self.place.location}
        addon = () if plain else ("-s", ADDON)
        return self._watched([*words, *addon, *options_of("-s", given)])

    def _watched(self, words: Sequence[str], **how: Any) -> Run:
        log = self.place.next_log()
        how.setdefault("launcher", self.launcher)
        return watched(words, site=self.site, log=log, folder=self.place.path, **how)

    def replace_in_spider(self, old: str, new: str) -> None:
        text = self.spider.read_text()
        assert old in text
        self.spider.write_text(text.replace(old, new))

    def job(self, number: int = 1) -> dict[str, Any]:
        return open_store(self.place.location).job(f"{JOB}#{number}")

    def jobs(self) -> dict[str, str]:
        return {
            f"{row['job']}#{row['number']}": row["status"]
            for row in open_store(self.place.location).jobs()
        }

    def titles(self, number: int = 1) -> Counter[str]:
        return Counter(
            row["title"] for row in open_store(self.place.location).items(f"{JOB}#{number}")
        )

    def items(self, number: int = 1) -> list[Any]:
        return list(open_store(self.place.location).items(f"{JOB}#{number}"))

    def has_job(self) -> bool:
        return has_jobs(self.place.store) and f"{JOB}#1" in self.jobs()

    def requests(self, **where: Any) -> list[dict[str, Any]]:
        return self.requests_of(1, **where)

    def requests_of(self, number: int, **where: Any) -> list[dict[str, Any]]:
        return list(open_store(self.place.location).requests(f"{JOB}#{number}", **where))

    @property
    def whole(self) -> Counter[str]:
        """The titles of all pages, once each."""
        return Counter(f"Page {number}" for number in range(self.site.pages))
