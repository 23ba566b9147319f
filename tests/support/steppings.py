"""Runs of the spider in ``stepping.py``, as ``scrapy runspider`` in a folder of their own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scrapy_resume import open_store
from tests.support.kills import Kill, Process
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of, started, watched
from tests.support.site import REPO, Site
from tests.support.stepping import calls

ADDON = 'ADDONS={"scrapy_resume.Addon": 500}'
JOB = "stepping"
FEED = "out.jsonl"

STEPS = {"stepping.double": 100, "stepping.plain": 200, "stepping.Html": 300}


class Steppings:
    """One job's runs."""

    def __init__(
        self, site: Site, place: Workplace, launcher: Launcher, location: str | None = None
    ) -> None:
        """``location``: where the job is kept; ``None``: in the place."""
        self.site = site
        self.place = place
        self.launcher = launcher
        self.location = location or place.location
        self.spider = Path(
            shutil.copy(REPO / "tests" / "support" / "stepping.py", place.path / "stepping.py")
        )

    def words(
        self,
        items: Sequence[Mapping[str, Any]] = (),
        steps: Mapping[str, int | None] | None = None,
        settings: Mapping[str, Any] | None = None,
        *more: str,
        on_site: bool = False,
        start: Sequence[Mapping[str, Any]] = (),
    ) -> list[str]:
        """The words after ``scrapy``. ``on_site``: items come from pages of the site."""
        given = {
            "RESUME_STORE": self.location,
            "RESUME_STEPS": json.dumps(STEPS if steps is None else steps),
            "RESUME_RETRY_DELAY": 0.05,
            **(settings or {}),
        }
        arguments = {"items": json.dumps(list(items)), "start_items": json.dumps(list(start))}
        if on_site:
            arguments["site"] = self.site.url
        words = ["runspider", self.spider.name, "-s", ADDON, "-s", f"RESUME_JOB={JOB}"]
        return [*words, "-o", FEED, *options_of("-s", given), *options_of("-a", arguments), *more]

    def run(
        self, *what: Any, kill: Kill | None = None, timeout_seconds: float = 90.0, **how: Any
    ) -> Run:
        """A crawl to its end; ``what`` and ``how``: see ``words``."""
        return watched(
            self.words(*what, **how),
            site=self.site,
            log=self.place.next_log(),
            folder=self.place.path,
            launcher=self.launcher,
            kill=kill,
            timeout_seconds=timeout_seconds,
        )

    def start(self, *what: Any, **how: Any) -> tuple[Process, Path]:
        """Starts a crawl beside others, which a launcher cannot: the process, and its log."""
        log = self.place.next_log()
        words = self.words(*what, **how)
        process = started(words, site=self.site, log=log, folder=self.place.path)
        return process, log

    def called(self, name: str | None = None) -> Counter[int]:
        """How often a step was called, by item."""
        return Counter(calls(self.place.path / "calls.jsonl", name))

    def job(self, number: int = 1) -> dict[str, Any]:
        return open_store(self.location).job(f"{JOB}#{number}")

    def stored(self) -> dict[int, dict[str, Any]]:
        """The stored items, by their number."""
        items = [dict(item) for item in open_store(self.location).items(f"{JOB}#1")]
        found = {item["n"]: item for item in items}
        assert len(found) == len(items), items
        return found

    def fed(self) -> dict[int, dict[str, Any]]:
        """The items in the feed, by their number; fails if one is there twice."""
        lines = (self.place.path / FEED).read_text().splitlines()
        found = {item["n"]: item for item in map(json.loads, lines)}
        assert len(found) == len(lines), lines
        return found
