"""Requests that were done are executed again: what they gave stays until that has succeeded."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import Any

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
