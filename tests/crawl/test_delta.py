"""``RESUME_MODE=delta``: what gave items in earlier crawls is not fetched again."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.kills import Live, at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, watched
from tests.support.shopping import number_of
from tests.support.site import REPO, Site
from tests.support.wanderings import JOB, Wanderings

DELTA = {"RESUME_MODE": "delta"}
DELTAFETCH = {
    "SPIDER_MIDDLEWARES": '{"tests.support.deltafetching.AsyncDeltaFetch": 100}',
    "DELTAFETCH_ENABLED": True,
}

LISTINGS = {f"/listing/{number}" for number in range(4)}
"""Of stage 2; stage 1 has one less."""
SHOWN_FIRST = {10 * listing + product for listing in range(3) for product in range(8)}
SHOWN_THEN = {10 * listing + product for listing in range(4) for product in range(1, 9)}
NEW = SHOWN_THEN - SHOWN_FIRST
ALWAYS_FETCHED = 3
GIVES_NOTHING = 0


@pytest.fixture
def shop(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "shopping.py", found.spider)
    return found


def stage(shop: Wanderings, number: int) -> None:
    """The shop changes; its hit log begins anew."""
    logs = len(list(shop.place.path.glob("hits*.jsonl")))
    shop.site.begin(shop.place.path / f"hits-{logs}.jsonl", stage=number)


def fetched(shop: Wanderings) -> Counter[str]:
    """What was fetched since the shop's last change, but for what tells visits apart."""
    return Counter(hit.url.partition("?")[0] for hit in shop.site.hits())


def products(shop: Wanderings) -> Counter[int]:
    return Counter(
        number_of(path) for path in fetched(shop).elements() if path.startswith("/product/")
    )


def crawled(shop: Wanderings, settings: dict[str, Any] | None = None, *more: str) -> Run:
    run = shop.run(settings or {}, *more)
    assert run.is_finished, run.tail()
    return run


def stat(run: Run, name: str) -> int:
    found = re.search(rf"'{name}': (\d+)", run.text)
    return int(found.group(1)) if found else 0


def crawl_with_deltafetch(shop: Wanderings, visit: int) -> None:
    """Plain Scrapy with the other package."""
    settings = [f"{name}={value}" for name, value in DELTAFETCH.items()]
    words = ["runspider", shop.spider.name, "-a", f"site={shop.site.url}", "-a", f"visit={visit}"]
    words += [word for setting in settings for word in ("-s", setting)]
    log = shop.place.next_log()
    # A process of its own: its data directory is found by the folder that it starts in.
    run = watched(words, site=shop.site, log=log, folder=shop.place.path)
    assert run.is_finished, run.tail()


def test_fetches_listings_and_new_products_only_as_deltafetch_does(shop: Wanderings) -> None:
    stage(shop, 1)
    crawl_with_deltafetch(shop, 1)
    stage(shop, 2)
    crawl_with_deltafetch(shop, 2)
    theirs = fetched(shop)

    stage(shop, 1)
    crawled(shop, DELTA)
    stage(shop, 2)
    run = crawled(shop, DELTA, "-a", "visit=2")
    assert fetched(shop) == theirs
    again = {n for n in SHOWN_THEN if n % 10 in {ALWAYS_FETCHED, GIVES_NOTHING}}
    assert set(fetched(shop)) == LISTINGS | {f"/product/{n}" for n in NEW | again}
    assert stat(run, "resume/delta/skipped") == len(SHOWN_THEN - NEW - again)
    assert shop.titles(2) == {f"product {n}": 1 for n in NEW | again if n % 10}


def test_what_is_skipped_is_ignored_and_counted_as_such(shop: Wanderings) -> None:
    crawled(shop)
    run = crawled(shop, DELTA)
    assert "requests that gave items in earlier numbers" in run.text
    rows = list(shop.requests_of(2))
    skipped = [row for row in rows if row["error"] == "delta"]
    assert {row["state"] for row in skipped} == {"ignored"}
    assert len(skipped) == stat(run, "resume/delta/skipped") > 10
    assert all(number_of(row["url"]) % 10 != ALWAYS_FETCHED for row in skipped)
    status = shop.job(2)
    assert (status["status"], status["requests"]["ignored"]) == ("completed", len(skipped))


def test_only_items_that_were_stored_count(shop: Wanderings) -> None:
    settings = {"ITEM_PIPELINES": '{"wandering.Drops": 100}'}
    crawled(shop, settings)
    stage(shop, 1)
    crawled(shop, {**settings, **DELTA})
    assert {number % 10 for number in products(shop)} == {ALWAYS_FETCHED, GIVES_NOTHING, 5, 6}


@pytest.mark.soak
def test_a_killed_delta_crawl_goes_on_as_one_and_the_next_knows_all(shop: Wanderings) -> None:
    settings = {**DELTA, "RESUME_KEEP": 1, "CONCURRENT_REQUESTS": 2}
    crawled(shop, settings)
    stage(shop, 2)
    for hits in (2, 3, 3):
        killed = shop.run(settings, kill=at_hits(hits))
        assert killed.killed_at is not None, killed.tail()
    crawled(shop, settings)
    assert shop.jobs() == {f"{JOB}#1": "completed", f"{JOB}#2": "completed"}
    again = {n for n in SHOWN_THEN if n % 10 in {ALWAYS_FETCHED, GIVES_NOTHING}}
    assert set(products(shop)) == NEW | again
    assert shop.titles(2) == {f"product {n}": 1 for n in NEW | again if n % 10}
    stage(shop, 2)
    crawled(shop, settings)
    crawled(shop, settings)
    assert sorted(shop.jobs()) == [f"{JOB}#{number}" for number in range(1, 5)], (
        "needed by the last"
    )
    assert products(shop) == dict.fromkeys(again, 2)


def test_a_crawl_that_was_no_delta_crawl_is_left_behind_and_its_items_count(
    shop: Wanderings,
) -> None:
    def once_items_are_stored(live: Live) -> float | None:
        stored = live.until(lambda: live.hits() >= 4 and bool(shop.titles()))
        return live.send(signal.SIGKILL) if stored else None

    killed = shop.run({"CONCURRENT_REQUESTS": 1}, kill=once_items_are_stored)
    assert killed.killed_at is not None, killed.tail()
    done = {title.split()[1] for title in shop.titles()}
    stage(shop, 1)
    crawled(shop, DELTA)
    assert shop.jobs() == {f"{JOB}#1": "cancelled", f"{JOB}#2": "completed"}
    fetched_again = {n for n in map(int, done) if n % 10 != ALWAYS_FETCHED} & set(products(shop))
    assert not fetched_again
    assert set(products(shop)) | set(map(int, done)) == SHOWN_FIRST


def starts(paths: Sequence[str]) -> list[str]:
    return ["-a", f"starts={','.join(paths)}"]


def test_what_start_yields_is_fetched_whoever_links_to_it(shop: Wanderings) -> None:
    crawled(shop, {})
    stage(shop, 1)
    # One at a time: the listing, which links to the products, is fetched and parsed first.
    settings = {**DELTA, "CONCURRENT_REQUESTS": 1}
    crawled(shop, settings, *starts(["/listing/0", "/product/5", "/product/7"]))
    assert products(shop) == {**dict.fromkeys([0, 3, 5, 7, 10, 13, 20, 23], 1)}


SKIPS_START = {**DELTA, "RESUME_DELTA_START": "skip"}


@pytest.mark.parametrize("filtered", [True, False])
def test_what_start_yields_is_skipped_too_if_that_is_asked_for(
    shop: Wanderings, filtered: bool
) -> None:
    """What gave items, that is: a listing and a product without items are fetched."""
    if not filtered:
        shop.replace_in_spider("callback)\n", "callback, dont_filter=True)\n")
    # A start request may be skipped by what start() or a page has led to.
    crawled(shop, {}, *starts(["/listing/0", "/product/35"]))
    stage(shop, 1)
    paths = ["/listing/0", "/product/5", "/product/35", "/product/10", "/product/36"]
    run = crawled(shop, {**SKIPS_START, "CONCURRENT_REQUESTS": 1}, *starts(paths))
    assert products(shop) == {**dict.fromkeys([0, 3, 13, 20, 23, 36], 1), 10: 1 if filtered else 2}
    assert fetched(shop)["/listing/0"] == 1
    assert stat(run, "resume/delta/skipped") > 2
    assert shop.titles(2)["product 36"] == 1


def test_an_interrupted_delta_crawl_goes_on_skipping_what_start_yields(shop: Wanderings) -> None:
    crawled(shop, {}, *starts(["/product/35", "/product/36", "/listing/0"]))
    stage(shop, 1)
    more = starts(["/product/35", "/listing/1", "/product/36", "/product/37", "/product/37"])
    slow = {**SKIPS_START, "CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0.05}
    killed = shop.run(slow, *more, kill=at_hits(2))
    assert killed.killed_at is not None, killed.tail()
    run = crawled(shop, SKIPS_START, *more)
    assert "told apart" not in run.text
    assert {35, 36}.isdisjoint(products(shop))
    assert shop.titles(2)["product 37"] == 1
    assert shop.job(2)["status"] == "completed"
    ignored = [
        row["url"] for row in shop.requests_of(2, state="ignored") if row["error"] == "delta"
    ]
    assert max(Counter(ignored).values()) == 1, "each is told once, however many runs there were"


def test_another_attempt_at_a_page_of_start_is_not_skipped(shop: Wanderings) -> None:
    crawled(shop, {}, *starts(["/product/7"]))
    stage(shop, 1)
    shop.replace_in_spider(
        "        if number_of(response.url) % 10:\n",
        "        from scrapy.downloadermiddlewares.retry import get_retry_request\n"
        "        if 'retry_times' not in response.meta:\n"
        "            yield get_retry_request(response.request, spider=self)\n"
        "            return\n"
        "        if number_of(response.url) % 10:\n",
    )
    crawled(shop, DELTA, *starts(["/product/7"]))
    assert products(shop) == {7: 2}
    assert shop.titles(2) == {"product 7": 1}


def test_a_redirect_that_gave_items_is_known_by_both_its_ends(shop: Wanderings) -> None:
    shop.replace_in_spider('"/product/" in url', "False")
    shop.replace_in_spider("yield self.product(url) if False else Request(url)", "pass")
    shop.replace_in_spider(
        "            pass\n",
        "            pass\n"
        "        for path in ('/redirect/1', '/redirect/2'):\n"
        "            yield Request(self.site + path, self.parse_product)\n",
    )
    crawled(shop)
    stage(shop, 1)
    shop.replace_in_spider("'/redirect/2')", "'/redirect/2', '/page/2', '/redirect/4')")
    crawled(shop, DELTA)
    assert set(fetched(shop)) == {"/listing/0", "/redirect/4", "/page/4"}
