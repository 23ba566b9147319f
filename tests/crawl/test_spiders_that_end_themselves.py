"""The end of a crawl: of a spider that closes itself, and of a process that dies after its job."""

from __future__ import annotations

import shutil

import pytest

from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

WHOLE = {1: 1, 2: 1, 3: 1}


@pytest.fixture
def ending(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "enders.py", found.spider)
    return found


@pytest.mark.parametrize(
    ("how", "status", "reason", "items"),
    [
        ("when idle", "completed", "all_done", WHOLE),
        ("engine", "completed", "all_done", WHOLE),
        ("last page", "completed", "all_done", WHOLE),
        ("asks for more", "completed", "all_done", {**WHOLE, 20: 1}),
        ("too early", "paused", "all_done", {1: 1, 2: 1}),
        ("cancels", "cancelled", "cancelled", WHOLE),
        ("stays open", "paused", "shutdown", WHOLE),
    ],
)
def test_a_spider_that_ends_itself_completes_its_job(
    ending: Wanderings, how: str, status: str, reason: str, items: dict[int, int]
) -> None:
    run = ending.run({"CONCURRENT_REQUESTS": 1}, "-a", f"how={how}")
    assert run.exit_code == 0, run.tail()
    job = ending.job()
    assert (job["status"], job["reason"]) == (status, reason), run.tail()
    assert ending.titles() == items


def lines(ending: Wanderings) -> int:
    return len((ending.place.path / "items.jsonl").read_text().splitlines())


def test_a_death_after_the_end_begins_no_other_crawl(ending: Wanderings) -> None:
    feed = ("-o", "items.jsonl")
    killed = ending.run({}, "-a", "how=dies", *feed)
    assert killed.exit_code == -9, killed.tail()
    assert ending.jobs() == {"wandering#1": "completed"}
    asked = len(ending.site.hits())
    again = ending.run({}, "-a", "how=", *feed)
    assert again.exit_code == 0, again.tail()
    assert "its process died before the crawl had ended" in again.text
    assert ending.jobs() == {"wandering#1": "completed"}
    assert (lines(ending), len(ending.site.hits())) == (3, asked)
    assert (ending.place.path / "ends.txt").read_text() == "wandering#1\n"
    third = ending.run({}, "-a", "how=", *feed)
    assert third.is_finished, third.tail()
    assert ending.jobs() == {"wandering#1": "completed", "wandering#2": "completed"}
    assert lines(ending) == 6


def test_a_start_that_stands_in_for_a_dead_process_may_die_too(ending: Wanderings) -> None:
    """Killed before its own exit, it owes the same end."""
    feed = ("-o", "items.jsonl")
    for _ in range(2):
        assert ending.run({}, "-a", "how=dies", *feed).exit_code == -9
    again = ending.run({}, "-a", "how=", *feed)
    assert again.exit_code == 0, again.tail()
    assert "its process died before the crawl had ended" in again.text
    assert ending.jobs() == {"wandering#1": "completed"}
    assert lines(ending) == 3
    assert (ending.place.path / "ends.txt").read_text() == "wandering#1\n"
    assert ending.run({}, "-a", "how=", *feed).is_finished
    assert lines(ending) == 6


def test_after_an_end_that_was_seen_the_next_number_begins(ending: Wanderings) -> None:
    for number in (1, 2):
        assert ending.run({}, "-a", "how=").is_finished
        assert ending.jobs()[f"wandering#{number}"] == "completed"


@pytest.mark.parametrize("mode", ["fresh", "once"])
def test_only_the_mode_auto_owes_an_end(ending: Wanderings, mode: str) -> None:
    assert ending.run({}, "-a", "how=dies").exit_code == -9
    again = ending.run({"RESUME_MODE": mode}, "-a", "how=")
    assert again.exit_code == 0
    assert "its process died before" not in again.text
    assert ("wandering#2" in ending.jobs()) == (mode == "fresh")
