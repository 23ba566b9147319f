"""Requests that were done are executed again: what they gave stays until that has succeeded."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest

from scrapy_resume.steering import retry
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

LEAVES = ("/leaf/1", "/leaf/2", "/leaf/3")
WHOLE = {"leaf 1": 1, "leaf 2": 1, "leaf 3": 1}
SETTINGS = {
    "RETRY_ENABLED": False,
    "DOWNLOADER_MIDDLEWARES": '{"wandering.Answers": 900}',
    "FEEDS": '{"out.jsonl": {"format": "jsonlines"}}',
}


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    return found


def crawl(wanderings: Wanderings, answers: str = "", *paths: str, **settings: Any) -> Run:
    return wanderings.run(
        {**SETTINGS, "ANSWERS": answers, **settings}, "-a", f"paths={','.join(paths or LEAVES)}"
    )


def feed(wanderings: Wanderings) -> Counter[str]:
    lines = (wanderings.place.path / "out.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["title"] for line in lines)


def states(wanderings: Wanderings) -> list[str]:
    return sorted(row["state"] for row in wanderings.requests())


def test_a_retry_that_the_site_fails_takes_no_items_away(wanderings: Wanderings) -> None:
    assert crawl(wanderings).is_finished
    assert retry(wanderings.place.location, "wandering", state="done") == 3
    run = crawl(wanderings, "/leaf/1=500 /leaf/2=503")
    assert run.is_finished, run.tail()
    assert wanderings.titles() == feed(wanderings) == WHOLE
    assert states(wanderings) == ["done", "failed", "failed"]


def test_a_retry_whose_callback_fails_adds_nothing(wanderings: Wanderings) -> None:
    """It has yielded an item before."""
    assert crawl(wanderings).is_finished
    retry(wanderings.place.location, "wandering", state="done", url="*/leaf/2")
    wanderings.replace_in_spider('"do=raise" in response.url', '"/leaf/2" in response.url')
    wanderings.replace_in_spider('yield {"title": res', 'yield {"title": "New " + res')
    assert crawl(wanderings).is_finished
    assert wanderings.titles() == feed(wanderings) == WHOLE
    wanderings.replace_in_spider('"/leaf/2" in response.url', "False")
    assert crawl(wanderings, RESUME_MODE="retry-failed").is_finished
    assert wanderings.titles() == feed(wanderings) == {"leaf 1": 1, "New leaf 2": 1, "leaf 3": 1}


def test_the_items_of_a_page_that_is_gone_go_with_it(wanderings: Wanderings) -> None:
    assert crawl(wanderings).is_finished
    retry(wanderings.place.location, "wandering", state="done")
    run = crawl(wanderings, "/leaf/1=404 /leaf/2=410 /leaf/3=403", RESUME_IGNORED_HTTP_CODES="403")
    assert run.is_finished, run.tail()
    assert wanderings.titles() == feed(wanderings) == {"leaf 3": 1}
    assert states(wanderings) == ["failed", "failed", "ignored"]


def test_killed_in_the_retry_and_failed_after_it_the_items_stay(wanderings: Wanderings) -> None:
    assert crawl(wanderings).is_finished
    retry(wanderings.place.location, "wandering", state="done")
    for _ in range(2):
        assert crawl(wanderings, "/leaf/1=503 /leaf/2=die").exit_code == -9
        assert wanderings.titles() == WHOLE
    assert crawl(wanderings, "/leaf/1=503 /leaf/2=500").is_finished
    assert wanderings.titles() == feed(wanderings) == WHOLE


def test_with_an_item_key_a_retry_that_fails_changes_no_item(wanderings: Wanderings) -> None:
    key = {"RESUME_ITEM_KEY": "title"}
    assert crawl(wanderings, **key).is_finished
    retry(wanderings.place.location, "wandering", state="done")
    wanderings.replace_in_spider('"do=raise" in response.url', '"/leaf/2" in response.url')
    wanderings.replace_in_spider('response.css("title::text").get()}', '"leaf 1", "bad": True}')
    assert crawl(wanderings, "/leaf/1=500 /leaf/3=500", **key).is_finished
    assert wanderings.titles() == feed(wanderings) == WHOLE


# RESUME_MODE = "retry-failed" on a job that is not finished

RETRY = {"RESUME_MODE": "retry-failed"}


@pytest.fixture
def unfinished(wanderings: Wanderings) -> Wanderings:
    """One page is done, one has failed, the others are pending."""
    run = crawl(
        wanderings, "/leaf/2=500", *LEAVES, "/leaf/4", "/leaf/5", **SLOWLY, CLOSESPIDER_PAGECOUNT=2
    )
    assert run.exit_code == 0, run.tail()
    assert by_path(wanderings)["/leaf/1"] == "done"
    assert by_path(wanderings)["/leaf/2"] == "failed"
    assert by_path(wanderings)["/leaf/5"] == "pending"
    return wanderings


SLOWLY = {
    "CONCURRENT_REQUESTS": 1,
    "SCHEDULER_START_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
}
"""One page after the other, in the order of ``start()``."""


def by_path(wanderings: Wanderings) -> dict[str, str]:
    return {urlsplit(row["url"]).path: row["state"] for row in wanderings.requests()}


def paths(wanderings: Wanderings, since: int = 0) -> list[str]:
    return [hit.url for hit in wanderings.site.hits()[since:]]


FIVE = (*LEAVES, "/leaf/4", "/leaf/5")


def test_retry_failed_leaves_what_else_is_pending_alone(unfinished: Wanderings) -> None:
    before = by_path(unfinished)
    asked = len(unfinished.site.hits())
    unfinished.replace_in_spider(
        '        if "do=raise"',
        '        if response.url.endswith("/leaf/2"):\n'
        '            yield response.follow("/leaf/below")\n        if "do=raise"',
    )
    run = crawl(unfinished, "", *FIVE, "/leaf/new", **RETRY)
    assert run.is_finished, run.tail()
    assert paths(unfinished, asked) == ["/leaf/2", "/leaf/below"]
    assert by_path(unfinished) == {**before, "/leaf/2": "done", "/leaf/below": "done"}
    assert unfinished.job()["status"] == "paused"
    assert "RESUME_MODE=auto" in run.text
    assert crawl(unfinished, "", *FIVE).is_finished
    assert unfinished.job()["status"] == "completed"
    assert unfinished.titles() == feed(unfinished)
    assert unfinished.titles() == {f"leaf {n}": 1 for n in (1, 2, 3, 4, 5, "below")}


def test_the_choice_outlives_a_kill(unfinished: Wanderings) -> None:
    """Neither what was retried has failed any more, nor what it has led to."""
    asked = len(unfinished.site.hits())
    unfinished.replace_in_spider(
        '        if "do=raise"',
        '        if response.url.endswith("/leaf/2"):\n'
        '            yield response.follow("/leaf/below")\n        if "do=raise"',
    )
    assert crawl(unfinished, "/leaf/2=die", *FIVE, **RETRY).exit_code == -9
    assert crawl(unfinished, "/leaf/below=die", *FIVE, **RETRY).exit_code == -9
    run = crawl(unfinished, "", *FIVE, **RETRY)
    assert run.is_finished, run.tail()
    assert set(paths(unfinished, asked)) == {"/leaf/2", "/leaf/below"}
    assert by_path(unfinished)["/leaf/below"] == "done"
    assert by_path(unfinished)["/leaf/5"] == "pending"
    assert unfinished.job()["status"] == "paused"


def test_a_login_still_runs(unfinished: Wanderings) -> None:
    asked = len(unfinished.site.hits())
    run = crawl(unfinished, "", "/leaf/login?do=first", *FIVE, **RETRY)
    assert run.is_finished, run.tail()
    assert paths(unfinished, asked) == ["/leaf/login?do=first", "/leaf/2"]
    assert by_path(unfinished)["/leaf/5"] == "pending"


def test_what_fails_in_the_retry_waits_and_is_tried_again_in_it(unfinished: Wanderings) -> None:
    asked = len(unfinished.site.hits())
    again = {"RETRY_ENABLED": True, "RETRY_TIMES": 2, "RESUME_RETRY_DELAY": 0.2}
    unfinished.replace_in_spider("int(answer)", "(200, 500)[self.count()]")
    unfinished.replace_in_spider(
        "    async def process_request(",
        "    left = 2\n\n    def count(self) -> int:\n        self.left -= 1\n"
        "        return int(self.left >= 0)\n\n"
        "    async def process_request(",
    )
    run = crawl(unfinished, "/leaf/2=500", *FIVE, **RETRY, **again)
    assert run.is_finished, run.tail()
    assert by_path(unfinished)["/leaf/2"] == "done"
    assert paths(unfinished, asked) == []
    assert by_path(unfinished)["/leaf/5"] == "pending"
