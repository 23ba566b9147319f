"""What is skipped for good is never fetched: by setting, by command, in later numbers, live."""

from __future__ import annotations

import re
import shutil
from collections import Counter

import pytest

from scrapy_resume.steering import retry, skip
from tests.support.kills import Live
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.shopping import number_of
from tests.support.site import REPO, Site
from tests.support.wanderings import JOB, Wanderings


@pytest.fixture
def shop(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "shopping.py", found.spider)
    site.begin(place.path / "hits-shop.jsonl", stage=1)
    return found


def products(shop: Wanderings) -> Counter[int]:
    paths = (hit.url.partition("?")[0] for hit in shop.site.hits())
    return Counter(number_of(path) for path in paths if path.startswith("/product/"))


def recorded(shop: Wanderings) -> int:
    """Products that were fetched, without those that live in memory until they have ended."""
    return sum(number % 10 != 1 for number in products(shop).elements())


def stat(run: Run, name: str) -> int:
    found = re.search(rf"'{name}': (\d+)", run.text)
    return int(found.group(1)) if found else 0


def test_a_setting_before_the_first_run(shop: Wanderings) -> None:
    """Also what is not filtered, and what cannot be serialized, and a unit of start()."""
    skips = "*/product/1*,unit:*/listing/2"
    run = shop.run({"RESUME_SKIP": skips}, "-a", "starts=/listing/0,/listing/2")
    assert run.is_finished, run.tail()
    fetched = products(shop)
    assert fetched
    assert all(str(number)[0] != "1" for number in fetched)
    assert "/listing/2" not in {hit.url for hit in shop.site.hits()}
    rows = [row for row in shop.requests() if row["error"] == "skipped"]
    assert {row["state"] for row in rows} == {"ignored"}
    assert len(rows) == stat(run, "resume/skipped") > 5
    assert f"{len(rows)} skipped for good" in run.text
    assert shop.job()["status"] == "completed"
    lambdas = [row for row in rows if number_of(row["url"]) % 10 == 1]
    unfiltered = [row for row in rows if number_of(row["url"]) % 10 == 2]
    assert lambdas
    assert unfiltered


def test_a_command_holds_for_the_next_number_until_it_is_undone(shop: Wanderings) -> None:
    assert shop.run().is_finished
    place = shop.place.location
    skip(place, JOB, url="*/product/1*")
    before = products(shop)
    assert shop.run().is_finished
    again = products(shop) - before
    assert again
    assert not any(str(number)[0] == "1" for number in again)
    assert shop.scrapy("resume", "status", "--check").exit_code == 0
    count = retry(place, f"{JOB}#2", skipped=True)
    # Those that are never serialized are known by the page that leads to them.
    assert count == sum(str(number)[0] == "1" and number % 10 != 1 for number in before)
    before = products(shop)
    assert shop.run().is_finished
    assert all(str(number)[0] == "1" for number in products(shop) - before)


def test_a_live_crawl_fetches_nothing_of_it_from_then_on(shop: Wanderings) -> None:
    counts: list[int] = []

    def act(live: Live) -> float | None:
        assert live.until(lambda: live.hits() >= 4)
        counts.append(skip(shop.place.location, JOB, url="*/product/*"))
        counts.append(recorded(shop))
        return None

    slowly = {"DOWNLOAD_DELAY": 0.15, "CONCURRENT_REQUESTS": 1}
    run = shop.run(slowly, kill=act)
    assert run.is_finished, run.tail()
    rows = [row for row in shop.requests() if row["error"] == "skipped"]
    assert len(rows) > counts[0], "what it had leased was dropped, too"
    assert len(rows) > 10
    assert "skipped for good" in run.text
    assert recorded(shop) <= counts[1] + 1, "one may have been on its way"
    assert shop.job()["status"] == "completed"
