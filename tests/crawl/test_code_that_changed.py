"""Callbacks, rules and classes that are renamed, moved or removed between the runs of a crawl."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any

import pytest

from tests.support.kills import Kill, Live, at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings

EVEN = 'Rule(LinkExtractor(allow=r"/page/\\d*[02468]$"), callback="parse_even", follow=True)'
THREES = 'Rule(LinkExtractor(allow=r"/page/\\d*[3]$"), callback="parse_threes", follow=True)'
ODD = (
    'Rule(LinkExtractor(allow=r"/page/\\d*[1579]$"), parse_odd, {"times": 2}, True, '
    "process_request=lambda request, response: request)"
)

CRAWL_SPIDER = """
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule


def parse_odd(response, times):
    yield {"title": response.css("title::text").get(), "odd": times}


class Wandering(CrawlSpider):
    name = "wandering"
    rules = [RULES]

    async def start(self):
        from scrapy import Request
        yield Request(self.site + "/page/0")

    def parse_start_url(self, response):
        return self.parse_even(response)

    def parse_even(self, response):
        yield {"title": response.css("title::text").get(), "rule": "rule" in response.meta}

    def parse_threes(self, response):
        yield {"title": response.css("title::text").get(), "three": True}
"""


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def items(wanderings: Wanderings, **settings: Any) -> Counter[str]:
    given = options_of("-s", settings)
    run = wanderings.scrapy("resume", "export", JOB, "-o", "-:jsonlines", *given)
    assert run.exit_code == 0, run.tail()
    return Counter(run.text.splitlines())


def plain_items(wanderings: Wanderings) -> Counter[str]:
    """What plain Scrapy gives with the spider as it is now."""
    folder = wanderings.place.path
    run = wanderings.scrapy(
        "runspider",
        wanderings.spider.name,
        "-a",
        f"site={wanderings.site.url}",
        "-o",
        "plain.jsonl",
        plain=True,
    )
    assert run.is_finished, run.tail()
    return Counter((folder / "plain.jsonl").read_text().splitlines())


def with_rules(wanderings: Wanderings, *rules: str) -> None:
    text = CRAWL_SPIDER.replace("RULES", ",\n        ".join(rules))
    wanderings.spider.write_text(text)


def held_errors(run: Run) -> list[str]:
    return [line for line in run.text.splitlines() if "ERROR" in line and " held, and " in line]


@pytest.mark.parametrize("robots", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_requests_of_a_renamed_callback_are_held_until_it_is_mapped(
    wanderings: Wanderings, robots: bool
) -> None:
    settings = {"ROBOTSTXT_OBEY": robots}
    assert wanderings.run(settings, kill=at_hits(20)).killed_at is not None
    wanderings.replace_in_spider("parse_page", "parse_renamed")
    run = wanderings.run(settings)
    assert run.exit_code == 1, run.tail()
    job = wanderings.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing")
    (error,) = held_errors(run)
    held = wanderings.requests(state="pending")
    (end,) = [line for line in run.text.splitlines() if "is paused (callback_missing)" in line]
    assert end.endswith("; do what the error above says, then run the same command again")
    assert f"{len(held)} requests were held" in error
    assert "RESUME_RENAMED = {'parse_page': 'parse_renamed'}" in error
    assert f"scrapy resume park {JOB}#1 --callback parse_page" in error
    assert {row["callback"] for row in held} == {"parse_page"}
    assert job["requests"]["failed"] == 0
    assert job["held"] == [{"name": "parse_page", "requests": len(held)}]
    assert {row["error"] for row in held} == {"CallbackMissingError"}
    for command in ("status", "show"):
        shown = wanderings.scrapy("resume", command, JOB).text
        assert f"{len(held)}  parse_page" in shown or "for want of parse_page" in shown
    mapped = {**settings, "RESUME_RENAMED": json.dumps({"parse_page": "parse_renamed"})}
    few = {**mapped, "CONCURRENT_REQUESTS": 2}
    assert wanderings.run(few, kill=when_more_are_done(wanderings)).killed_at is not None
    last = wanderings.run(mapped)
    assert last.exit_code == 0, last.tail()
    assert wanderings.job()["status"] == "completed"
    assert wanderings.titles() == wanderings.whole


def when_more_are_done(wanderings: Wanderings) -> Kill:
    """A kill when the changed code has done some of the work."""
    before = wanderings.job()["requests"]["done"]

    def kill(live: Live) -> float | None:
        more = live.until(lambda: wanderings.job()["requests"]["done"] > before + 2)
        return live.send(signal.SIGKILL) if more else None

    return kill


@pytest.mark.parametrize(
    "later",
    [
        pytest.param([ODD, EVEN], id="swapped", marks=pytest.mark.soak),
        pytest.param([THREES.replace("[3]", "x"), EVEN, ODD], id="one inserted before"),
        pytest.param([EVEN, EVEN, ODD], id="one doubled", marks=pytest.mark.soak),
        pytest.param([ODD, EVEN.replace("/page/", "page/")], id="an extractor edited"),
    ],
)
def test_rules_are_known_by_what_they_are(wanderings: Wanderings, later: list[str]) -> None:
    with_rules(wanderings, EVEN, ODD)
    assert wanderings.run(kill=at_hits(15)).killed_at is not None
    with_rules(wanderings, *later)
    few = {"CONCURRENT_REQUESTS": 2}
    assert wanderings.run(few, kill=when_more_are_done(wanderings)).killed_at is not None
    with_rules(wanderings, EVEN, ODD)
    run = wanderings.run()
    assert run.exit_code == 0, run.tail()
    assert items(wanderings) == plain_items(wanderings)


def when_waiting(wanderings: Wanderings, callback: str) -> Kill:
    """SIGKILL once the store has requests for a callback that wait."""

    def waits() -> bool:
        return wanderings.has_job() and bool(
            wanderings.requests(state=("pending", "leased"), callback=callback)
        )

    def kill(live: Live) -> float | None:
        live.until(waits)
        return live.send(signal.SIGKILL)

    return kill


def test_requests_of_a_rule_that_is_gone_are_held(wanderings: Wanderings) -> None:
    with_rules(wanderings, THREES, EVEN, ODD)
    assert wanderings.run(kill=when_waiting(wanderings, "parse_threes")).killed_at is not None
    with_rules(wanderings, EVEN, ODD)
    run = wanderings.run()
    assert run.exit_code == 1, run.tail()
    (error,) = held_errors(run)
    assert "Rule with the callback 'parse_threes'" in error
    held = wanderings.requests(state="pending")
    assert {row["callback"] for row in held} == {"parse_threes"}
    # One was in hand when the first process died, at the most; being held counts as none.
    assert {row["attempts"] for row in held} <= {0, 1}
    with_rules(wanderings, ODD, THREES, EVEN)
    last = wanderings.run()
    assert last.exit_code == 0, last.tail()
    assert wanderings.job()["status"] == "completed"
    found = [json.loads(line) for line in items(wanderings).elements()]
    assert sorted(item["title"].split()[-1] for item in found if item.get("three")) == sorted(
        row["url"].rpartition("/")[2] for row in held
    )


def test_a_rule_whose_callback_is_renamed_is_mapped(wanderings: Wanderings) -> None:
    with_rules(wanderings, EVEN, ODD)
    assert wanderings.run(kill=at_hits(15)).killed_at is not None
    wanderings.replace_in_spider("parse_even", "parse_pair")
    wanderings.replace_in_spider("parse_odd", "parse_single")
    run = wanderings.run()
    assert run.exit_code == 1, run.tail()
    assert len(held_errors(run)) == 2, run.tail()
    renamed = {"parse_even": "parse_pair", "wandering.parse_odd": "wandering.parse_single"}
    last = wanderings.run({"RESUME_RENAMED": json.dumps(renamed)})
    assert last.exit_code == 0, last.tail()
    assert items(wanderings) == plain_items(wanderings)


MODELS = """
import scrapy
from dataclasses import dataclass


class Page(scrapy.Item):
    title = scrapy.Field(serializer=str.upper)


@dataclass
class Link:
    href: str


def parse_link(response, link):
    for found in response.meta["spider_"](response):
        yield found
"""

SPIDER = """
import scrapy
import models


class Wandering(scrapy.Spider):
    name = "wandering"

    async def start(self):
        yield scrapy.Request(self.site + "/page/0")

    def parse(self, response, link=None):
        yield models.Page(title=response.css("title::text").get())
        for href in response.css("li a::attr(href)").getall():
            link = models.Link(href)
            yield response.follow(href, cb_kwargs={"link": link})
"""

TRUSTED = "models,moved"


def test_values_whose_class_has_moved_are_held_until_it_is_mapped(wanderings: Wanderings) -> None:
    folder = wanderings.place.path
    wanderings.spider.write_text(SPIDER)
    (folder / "models.py").write_text(MODELS)
    feed = ("-o", "out.jsonl")
    trusted = {"RESUME_TRUSTED": TRUSTED}
    assert wanderings.run(trusted, *feed, kill=at_hits(15)).killed_at is not None
    (folder / "moved.py").write_text(MODELS.replace("class Link", "class Anchor"))
    (folder / "models.py").write_text("")
    wanderings.spider.write_text(
        SPIDER.replace("models", "moved").replace("moved.Link", "moved.Anchor")
    )
    renamed = {"models.Page": "moved.Page"}
    items_only = {**trusted, "RESUME_RENAMED": json.dumps(renamed)}
    run = wanderings.run(items_only, *feed)
    assert run.exit_code == 1, run.tail()
    (error,) = held_errors(run)
    assert "models:Link" in error
    assert "park" not in error
    assert wanderings.job()["requests"]["failed"] == 0
    whole = {**trusted, "RESUME_RENAMED": json.dumps({**renamed, "models.Link": "moved.Anchor"})}
    assert (
        wanderings.run({**whole, "CONCURRENT_REQUESTS": 2}, *feed, kill=at_hits(6)).killed_at
        is not None
    )
    last = wanderings.run(whole, *feed)
    assert last.exit_code == 0, last.tail()
    found = Counter((folder / "out.jsonl").read_text().splitlines())
    assert found == plain_items(wanderings)
    assert items(wanderings, **whole) == found, "the serializers of the class that there is now"
    assert len(found) == wanderings.site.pages


def test_requests_without_a_callback_are_held_when_parse_was_renamed(
    wanderings: Wanderings,
) -> None:
    (wanderings.place.path / "models.py").write_text(MODELS)
    wanderings.spider.write_text(SPIDER)
    trusted = {"RESUME_TRUSTED": TRUSTED}
    assert wanderings.run(trusted, kill=at_hits(15)).killed_at is not None
    text = SPIDER.replace("def parse(", "def parse_page(").replace(
        '/page/0")', '/page/0", self.parse_page)'
    )
    wanderings.spider.write_text(text.replace("cb_kwargs=", "callback=self.parse_page, cb_kwargs="))
    run = wanderings.run(trusted)
    assert run.exit_code == 1, run.tail()
    (error,) = held_errors(run)
    assert "RESUME_RENAMED = {'parse': 'parse_page'}" in error
    last = wanderings.run({**trusted, "RESUME_RENAMED": json.dumps({"parse": "parse_page"})})
    assert last.exit_code == 0, last.tail()
    assert wanderings.titles() == wanderings.whole


@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        ({"parse_gone": "parse_pgae"}, "the spider has no method 'parse_pgae'"),
        ({"shop.Gone": "wandering.Gone"}, "wandering.Gone cannot be loaded"),
        ({"a": "b", "b": "parse_page"}, "without chains and cycles"),
        ({"a": "b", "b": "a"}, "without chains and cycles"),
        ({"parse_page": "start"}, "the code has both"),
    ],
)
def test_a_renaming_that_cannot_be_meant_is_refused_at_the_start(
    wanderings: Wanderings, renamed: dict[str, str], said: str
) -> None:
    run = wanderings.run({"RESUME_RENAMED": json.dumps(renamed)})
    assert run.exit_code == 1
    (line,) = [
        line for line in run.text.splitlines() if "RESUME_RENAMED" in line and "ERROR" in line
    ]
    assert said in line
    assert "Traceback" not in run.text
    assert not wanderings.site.hits()


CLOSES_ITSELF = """
from scrapy import signals
from scrapy.exceptions import CloseSpider


class Closing(WanderingSpider):
    @classmethod
    def from_crawler(cls, crawler, **arguments):
        spider = super().from_crawler(crawler, **arguments)
        crawler.signals.connect(spider.idle, signals.spider_idle)
        return spider

    def idle(self):
        raise CloseSpider("all_done")
"""


def test_a_spider_that_closes_itself_over_held_requests_is_not_done(wanderings: Wanderings) -> None:
    text = wanderings.spider.read_text() + CLOSES_ITSELF
    wanderings.spider.write_text(text)
    assert wanderings.run(kill=at_hits(20)).killed_at is not None
    wanderings.replace_in_spider("parse_page", "parse_renamed")
    run = wanderings.run()
    assert run.exit_code == 1, run.tail()
    job = wanderings.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing")


def test_held_requests_can_be_parked_by_the_name_of_their_callback(wanderings: Wanderings) -> None:
    with_rules(wanderings, THREES, EVEN, ODD)
    assert wanderings.run(kill=when_waiting(wanderings, "parse_threes")).killed_at is not None
    with_rules(wanderings, EVEN, ODD)
    assert wanderings.run().exit_code == 1
    held = wanderings.job()["requests"]["pending"]
    parked = wanderings.scrapy("resume", "park", JOB, "--callback", "parse_threes")
    assert parked.exit_code == 0, parked.tail()
    last = wanderings.run()
    assert last.exit_code == 0, last.tail()
    job = wanderings.job()
    assert (job["status"], job["requests"]["parked"], job["held"]) == ("completed", held, [])
