"""What is kept beside requests and items, and what happens when code or owner change."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter

import pytest

from tests.support.fixtures import Truths
from tests.support.kills import at_hits, twice
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.reactors import MODES, SELECT, Mode
from tests.support.runs import Run, Workplace, crawl_through, stored_items
from tests.support.site import Site
from tests.support.wanderings import Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def test_forced_takeover_fences_the_old_owner_and_loses_nothing(wanderings: Wanderings) -> None:
    taken: list[Run] = []

    def take_over(live: object) -> float | None:
        assert live.until(lambda: live.hits() >= 6)  # type: ignore[attr-defined]
        taken.append(wanderings.run({"RESUME_FORCE": 1}, launcher=None))
        return None

    old = wanderings.run({"DOWNLOAD_DELAY": 0.4}, kill=take_over)
    assert taken[0].is_finished, taken[0].tail()
    assert old.exit_code == 1, old.tail()
    assert "Traceback" not in old.text, old.tail()
    assert wanderings.titles() == wanderings.whole
    assert wanderings.job()["status"] == "completed"
    fenced, last = wanderings.job()["runs"]
    assert (fenced["status"], last["status"]) == ("paused", "completed")
    assert fenced["reason"].startswith("taken over by")


@pytest.mark.sqlite
def test_spider_state_counts_each_page_that_is_finished(wanderings: Wanderings) -> None:
    run = wanderings.run(signal_stop_settings())
    assert run.exit_code == 0, run.tail()
    while wanderings.job()["status"] != "completed":
        assert wanderings.run(signal_stop_settings()).exit_code == 0
    assert kept_state(wanderings) == {"pages": len(wanderings.whole)}


def signal_stop_settings() -> dict[str, int]:
    return {"CLOSESPIDER_PAGECOUNT": 25}


def kept_state(wanderings: Wanderings) -> object:
    path = next(wanderings.place.store.glob("*.sqlite3"))
    connection = sqlite3.connect(path)
    try:
        (text,) = connection.execute("SELECT payload FROM spider_state").fetchone()
    finally:
        connection.close()
    return json.loads(text)


def test_state_that_cannot_be_kept_is_named_and_fails_the_job(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        'yield {"title"',
        'self.state["lock"] = __import__("threading").Lock()\n        yield {"title"',
    )
    run = wanderings.run()
    assert run.exit_code == 1, run.tail()
    assert "spider.state['lock']" in run.text, run.tail()
    assert "Traceback" not in run.text, run.tail()
    assert wanderings.job()["status"] == "failed"
    wanderings.replace_in_spider(
        'self.state["lock"] = __import__("threading").Lock()\n        ', ""
    )
    assert wanderings.run().is_finished
    assert wanderings.titles() == wanderings.whole


def test_item_that_cannot_be_written_fails_its_request_and_is_named(
    wanderings: Wanderings,
) -> None:
    wanderings.replace_in_spider(
        'yield {"title"', 'yield {"odd": __import__("threading").Lock()}\n        yield {"title"'
    )
    assert wanderings.run({"CLOSESPIDER_PAGECOUNT": 3}).exit_code == 1
    failed = wanderings.requests(state="failed")
    assert failed
    assert all(row["error"] == "ItemNotRecordableError" for row in failed)
    assert all("item['odd']" in row["error_message"] for row in failed)


def test_units_are_inherited_by_all_that_follows(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        "callback=self.parse_page)\n\n",
        'callback=self.parse_page, meta={"resume_unit": "make"})\n\n',
    )
    assert wanderings.run().is_finished
    assert {row["unit"] for row in wanderings.requests()} == {"make"}


def test_items_with_the_same_key_update_one_another(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider('{"title": response', '{"kind": "page", "title": response')
    assert wanderings.run({"RESUME_ITEM_KEY": "kind"}).is_finished
    assert wanderings.titles().total() == 1
    assert wanderings.job()["items"]["stored"] == 1


def test_login_of_every_run_is_fetched_first_in_each(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        '        self.logger.info("start() runs")\n',
        '        yield Request(f"{self.site}/login", callback=self.parse_login, '
        'meta={"resume_every_run": True})\n',
    )
    wanderings.replace_in_spider(
        "    def parse_page",
        "    def parse_login(self, response: Response) -> Iterator[Any]:\n"
        '        yield {"title": "login"}\n\n    def parse_page',
    )
    feed = wanderings.place.path / "items.jsonl"
    killed = wanderings.run({}, "-o", feed.name, kill=at_hits(20))
    assert killed.killed_at is not None
    last = wanderings.run({}, "-o", feed.name)
    assert last.is_finished, last.tail()
    asked = [hit for hit in wanderings.site.hits() if hit.asked_at > last.started_at]
    assert asked[0].url == "/login"
    assert asked[0].answered_at is not None
    assert asked[1].asked_at >= asked[0].answered_at
    items = wanderings.whole + Counter({"login": 1})
    assert wanderings.titles() == items
    assert Counter(json.loads(line)["title"] for line in feed.read_text().splitlines()) == items


def test_wiring_by_hand_does_the_same(wanderings: Wanderings) -> None:
    by_hand = {
        "ADDONS": "{}",
        "SCHEDULER": "scrapy_resume.scheduler.ResumeScheduler",
        "EXTENSIONS": '{"scrapy_resume.extensions.ResumeExtension": -1000}',
        "DOWNLOADER_MIDDLEWARES": (
            '{"scrapy_resume.downloadermiddlewares.ResumeDownloaderMiddleware": 1000}'
        ),
        "SPIDER_MIDDLEWARES": '{"scrapy_resume.spidermiddlewares.ResumeSpiderMiddleware": -1000}',
    }
    assert wanderings.run(by_hand, kill=at_hits(20)).killed_at is not None
    assert wanderings.run(by_hand).is_finished
    assert wanderings.titles() == wanderings.whole


def test_totals_over_all_runs_come_from_the_store(wanderings: Wanderings) -> None:
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    last = wanderings.run()
    pages = len(wanderings.whole)
    assert f"'resume/total/items': {pages}" in last.text
    assert f"'resume/total/done': {pages}" in last.text
    assert "'resume/total/runs': 2" in last.text


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, id=mode.name, marks=pytest.mark.soak if mode is SELECT else [])
        for mode in MODES
    ],
)
def test_second_sigterm_ends_the_process_at_once_with_the_job_paused(
    wanderings: Wanderings, mode: Mode
) -> None:
    if mode.unavailable:
        pytest.skip(mode.unavailable)
    settings = {**mode.settings, "DOWNLOAD_DELAY": 0.5}
    run = wanderings.run(settings, kill=twice(5))
    assert run.killed_at is not None, run.tail()
    assert run.ended_at - run.killed_at < 4, "it neither waits for downloads nor for the store"
    job = wanderings.job()
    assert (job["status"], job["reason"]) == ("paused", "shutdown")
    [first] = job["runs"]
    assert first["pages"] >= first["items"] > 0
    assert f"{job['items']['stored']} items. Its feeds may lack the latest items" in run.text
    assert {row["crashes"] for row in wanderings.requests()} == {0}
    assert wanderings.run(mode.settings).is_finished
    assert wanderings.titles() == wanderings.whole


def test_link_to_the_login_of_every_run_is_a_duplicate(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        "callback=self.parse_page)\n\n"
        "    def parse_page(self, response: Response) -> Iterator[Any]:\n",
        'callback=self.parse_page, meta={"resume_every_run": True})\n\n'
        "    def parse_page(self, response: Response) -> Iterator[Any]:\n"
        '        yield response.follow("/page/0", callback=self.parse_page)\n',
    )
    assert wanderings.run().is_finished
    assert wanderings.titles() == wanderings.whole


def test_login_that_no_longer_comes_does_not_hold_the_crawl_up(wanderings: Wanderings) -> None:
    old = 'yield Request(f"{self.site}/page/0", callback=self.parse_page)\n'
    meta = 'callback=self.parse_page, meta={"resume_every_run": True})\n'
    wanderings.replace_in_spider(old, old.replace("callback=self.parse_page)\n", meta))
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    waits = "        import asyncio\n        while self.state.get('pages', 0) < 60:\n"
    waits += "            await asyncio.sleep(0.01)\n"
    wanderings.replace_in_spider(
        '        self.logger.info("start() runs")\n        '
        + old.replace("callback=self.parse_page)\n", meta),
        waits + "        return\n        yield\n",
    )
    wanderings.replace_in_spider(
        'self.state.get("pages", 0) + 1', 'self.state.get("pages", 0) + 60'
    )
    assert wanderings.run().is_finished
    assert set(wanderings.titles()) == set(wanderings.whole)


def test_stopped_while_it_logs_in_a_crawl_keeps_its_sessions(
    truths: Truths, site: Site, place: Workplace, launcher: Launcher
) -> None:
    kind = "cookiejars"
    truth = truths(kind)
    settings = {"RESUME_COMMIT_INTERVAL": 5}
    stopped = [at_hits(3, signum=signal.SIGTERM)]
    crawl_through(kind, stopped, site=site, place=place, launcher=launcher, settings=settings)
    difference = compare(truth.items, stored_items(place, kind))
    assert not difference.lost, str(difference)
