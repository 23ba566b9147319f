"""Workers of one crawl that have different versions of its code."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import open_store
from tests.support.kills import at_hits
from tests.support.runs import Run, end, options_of, started, watched
from tests.support.site import Site
from tests.support.wanderings import ADDON, JOB, SPIDER

RENAMED = {"RESUME_RENAMED": json.dumps({"parse_page": "parse_renamed"})}


class Versions:
    """The spider in its old version, and in a new one that has renamed its callback."""

    def __init__(self, folder: Path, site: Site, url: str) -> None:
        self.site, self.url = site, url
        self.folders = {name: folder / name for name in ("old", "new")}
        for name, place in self.folders.items():
            place.mkdir()
            text = SPIDER.read_text()
            new = text.replace("parse_page", "parse_renamed")
            (place / "wandering.py").write_text(text if name == "old" else new)

    def words(self, settings: dict[str, Any]) -> list[str]:
        given = {"RESUME_STORE": self.url, "RESUME_JOB": JOB, "DOWNLOAD_DELAY": 0, **settings}
        words = ["runspider", "wandering.py", "-a", f"site={self.site.url}", "-s", ADDON]
        return [*words, *options_of("-s", {"RESUME_HOSTS": "shared", **given})]

    def run(self, version: str, settings: dict[str, Any] | None = None, **how: Any) -> Run:
        folder = self.folders[version]
        log = folder / f"{len(list(folder.iterdir()))}.log"
        return watched(self.words(settings or {}), site=self.site, log=log, folder=folder, **how)

    def job(self) -> dict[str, Any]:
        return open_store(self.url).job(JOB)

    def is_fetched(self) -> bool:
        left = self.job()["requests"]
        return not (left["pending"] or left["leased"])


@pytest.fixture
def versions(tmp_path: Path, postgres_url: str) -> Iterator[Versions]:
    with Site(tmp_path) as site:
        site.begin(tmp_path / "hits.log")
        yield Versions(tmp_path, site, postgres_url)


def test_a_worker_that_knows_a_name_gets_what_another_one_holds(versions: Versions) -> None:
    assert versions.run("old", kill=at_hits(20)).killed_at is not None
    folder = versions.folders["new"]
    beside = started(
        versions.words({}), site=versions.site, log=folder / "ignorant.log", folder=folder
    )
    try:
        knowing = versions.run("new", RENAMED)
        assert beside.wait(60) in (0, 1)
    finally:
        end(beside)
    assert knowing.exit_code == 0, knowing.tail()
    job = versions.job()
    assert (job["status"], job["reason"], job["held"]) == ("completed", "finished", [])
    titles = Counter(item["title"] for item in open_store(versions.url).items(JOB))
    assert titles == Counter(f"Page {number}" for number in range(versions.site.pages))


@pytest.mark.soak
def test_what_no_worker_knows_is_said_by_the_last_one(versions: Versions) -> None:
    assert versions.run("old", kill=at_hits(20)).killed_at is not None
    folder = versions.folders["new"]
    beside = started(versions.words({}), site=versions.site, log=folder / "a.log", folder=folder)
    try:
        run = versions.run("new")
        assert beside.wait(60) == 1, (folder / "a.log").read_text()[-3000:]
    finally:
        end(beside)
    assert run.exit_code == 1, run.tail()
    job = versions.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing")
    assert [row["name"] for row in job["held"]] == ["parse_page"]
    assert versions.run("new", RENAMED).exit_code == 0
    assert versions.job()["status"] == "completed"


STAYS = '''

class Staying(WanderingSpider):
    """Stays open, whatever it lacks, until a file is there."""

    @classmethod
    def from_crawler(cls, crawler, **arguments):
        spider = super().from_crawler(crawler, **arguments)
        crawler.signals.connect(spider.idle, signals.spider_idle)
        return spider

    def idle(self):
        if not Path("go").exists():
            raise DontCloseSpider
'''
IMPORTS = """
from pathlib import Path
from scrapy import signals
from scrapy.exceptions import DontCloseSpider
"""


@pytest.mark.parametrize("hosts", ["shared", pytest.param("exclusive", marks=pytest.mark.soak)])
def test_a_worker_gives_what_it_lacks_the_code_for_back_while_it_lives(
    versions: Versions, hosts: str
) -> None:
    settings = {"RESUME_HOSTS": hosts, "RESUME_HEARTBEAT": 0.5}
    assert versions.run("old", settings, kill=at_hits(20)).killed_at is not None
    folder = versions.folders["new"]
    spider = folder / "wandering.py"
    text = spider.read_text()
    spider.write_text(text.replace("\nfrom collections", IMPORTS + "\nfrom collections") + STAYS)
    log = folder / "ignorant.log"
    beside = started(versions.words(settings), site=versions.site, log=log, folder=folder)
    try:
        assert until(lambda: "is held" in log.read_text(), beside), log.read_text()[-2000:]
        old = versions.folders["old"]
        knowing = started(
            versions.words(settings), site=versions.site, log=old / "knows.log", folder=old
        )
        try:
            # The one that lacks the callback lives meanwhile.
            assert until(lambda: versions.is_fetched(), beside), versions.job()["requests"]
            (folder / "go").touch()
            assert (beside.wait(60), knowing.wait(60)) == (0, 0), log.read_text()[-3000:]
        finally:
            end(knowing)
    finally:
        end(beside)
    assert "were held" not in log.read_text()
    job = versions.job()
    assert (job["status"], job["held"]) == ("completed", [])
    titles = Counter(item["title"] for item in open_store(versions.url).items(JOB))
    assert titles == Counter(f"Page {number}" for number in range(versions.site.pages))


def until(condition: Callable[[], bool], process: Any, seconds: float = 30.0) -> bool:
    """Waits for it; false when the process or the time ended before."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
