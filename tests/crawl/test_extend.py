"""``RESUME_MODE = "extend"``: one number, for as long as one likes; start() is fetched again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

from .test_executed_again import SETTINGS, by_path, feed, paths

EXTEND = {"RESUME_MODE": "extend"}
ONCE_A_PAGE = '        if "do=raise"'
TITLE = 'response.css("title::text").get()'


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    """Each of the seeds leads to a page of its own."""
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    found.replace_in_spider(
        ONCE_A_PAGE,
        '        if "below" not in response.url:\n'
        '            yield response.follow(response.url + "0below")\n' + ONCE_A_PAGE,
    )
    return found


def crawl(
    wanderings: Wanderings, answers: str, *seeds: str, kill: Kill | None = None, **settings: Any
) -> Run:
    given = {**SETTINGS, "CONCURRENT_REQUESTS": 1, "ANSWERS": answers, **settings}
    return wanderings.run(given, "-a", f"paths={','.join(seeds)}", kill=kill)


def titles(word: str, *numbers: int) -> dict[str, int]:
    return {title: 1 for n in numbers for title in (f"{word}leaf {n}", f"leaf {n}0below")}


@pytest.mark.parametrize("filtered", [False, True])
def test_new_seeds_are_picked_up_and_known_ones_fetched_again(
    wanderings: Wanderings, filtered: bool
) -> None:
    wanderings.replace_in_spider("errback=self", f"dont_filter={not filtered}, errback=self")
    assert crawl(wanderings, "", "/leaf/1", "/leaf/2", **EXTEND).is_finished
    assert wanderings.jobs() == {"wandering#1": "completed"}
    wanderings.replace_in_spider(
        f'"title": {TITLE}', f'"title": ("" if "below" in response.url else "new ") + {TITLE}'
    )
    asked = len(wanderings.site.hits())
    run = crawl(wanderings, "", "/leaf/3", "/leaf/2", "/leaf/1", **EXTEND)
    assert run.is_finished, run.tail()
    seeds = ["/leaf/1", "/leaf/2", "/leaf/3"]
    assert sorted(paths(wanderings, asked)) == [*seeds, "/leaf/30below"]
    assert wanderings.titles() == feed(wanderings) == titles("new ", 1, 2, 3)
    assert wanderings.jobs() == {"wandering#1": "completed"}
    assert wanderings.job()["requests"]["total"] == 6


def test_in_mode_auto_an_extended_job_is_extended(wanderings: Wanderings) -> None:
    assert crawl(wanderings, "", "/leaf/1").is_finished
    assert crawl(wanderings, "", "/leaf/1", **EXTEND).is_finished
    assert crawl(wanderings, "", "/leaf/1", "/leaf/2").is_finished
    assert paths(wanderings).count("/leaf/1") == 3
    assert wanderings.jobs() == {"wandering#1": "completed"}
    run = crawl(wanderings, "", "/leaf/1", RESUME_START="once")
    assert run.exit_code == 1
    assert "RESUME_START" in run.text
    assert crawl(wanderings, "", "/leaf/1", RESUME_MODE="fresh").is_finished
    assert list(wanderings.jobs()) == ["wandering#2", "wandering#1"]


def test_start_once_is_refused_beside_it(wanderings: Wanderings) -> None:
    run = crawl(wanderings, "", "/leaf/1", **EXTEND, RESUME_START="once")
    assert run.exit_code == 1
    assert "RESUME_START" in run.text
    assert not paths(wanderings)


def when_fetched(wanderings: Wanderings, path: str) -> Kill:
    """SIGKILL as soon as the store says that the path was fetched once more, and is done."""
    asked = len(wanderings.site.hits())

    def is_fetched() -> bool:
        hit = any(hit.url == path for hit in wanderings.site.hits()[asked:])
        return hit and by_path(wanderings)[path] == "done"

    def kill(live: Live) -> float | None:
        return live.send(signal.SIGKILL) if live.until(is_fetched) else None

    return kill


def test_a_round_that_was_killed_goes_on_where_it_was(wanderings: Wanderings) -> None:
    seeds = ("/leaf/1", "/leaf/2", "/leaf/3")
    assert crawl(wanderings, "", *seeds).is_finished
    for _ in range(2):
        asked = len(wanderings.site.hits())
        kill = when_fetched(wanderings, "/leaf/1")
        rest = "/leaf/2=hang /leaf/3=hang"  # or its page may have ended in the last interval
        assert crawl(wanderings, rest, *seeds, kill=kill, **EXTEND).killed_at
        kill = when_fetched(wanderings, "/leaf/2")
        assert crawl(wanderings, "/leaf/3=hang", *seeds, kill=kill).killed_at
        run = crawl(wanderings, "", *seeds)
        assert run.is_finished, run.tail()
        assert sorted(paths(wanderings, asked)) == sorted(seeds)
        assert wanderings.titles() == feed(wanderings) == titles("", 1, 2, 3)
    assert wanderings.jobs() == {"wandering#1": "completed"}


def test_a_seed_that_fails_keeps_its_items_and_one_that_is_gone_does_not(
    wanderings: Wanderings,
) -> None:
    seeds = ("/leaf/1", "/leaf/2", "/leaf/3")
    assert crawl(wanderings, "", *seeds, **EXTEND).is_finished
    run = crawl(wanderings, "/leaf/1=500 /leaf/2=404", *seeds, **EXTEND)
    assert run.is_finished, run.tail()
    kept = titles("", 1, 2, 3)
    del kept["leaf 2"]
    assert wanderings.titles() == feed(wanderings) == kept
    states = by_path(wanderings)
    assert [states[seed] for seed in seeds] == ["failed", "ignored", "done"]


def test_clean_leaves_an_extended_job_alone(wanderings: Wanderings) -> None:
    assert crawl(wanderings, "", "/leaf/1", **EXTEND).is_finished
    assert crawl(wanderings, "", "/leaf/1", RESUME_JOB="other").is_finished
    words = ["clean", "--days", "0", "-s", f"RESUME_STORE={wanderings.place.location}"]
    subprocess.run([sys.executable, "-m", "scrapy", "resume", *words], check=True)
    assert wanderings.jobs() == {"wandering#1": "completed"}
