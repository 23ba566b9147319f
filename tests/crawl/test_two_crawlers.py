"""Crawls that are not one ``scrapy crawl`` of one spider."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixtures import Truths
from tests.support.kills import Kill, at_hits
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import (
    PROJECT,
    Run,
    Workplace,
    crawl_through,
    job_store,
    options_of,
    recorded_items,
    stored_items,
    watched,
)
from tests.support.site import REPO, Site

PAIR = ("generators", "redirects")
STANDALONE = REPO / "tests" / "support" / "standalone.py"


def run_pair(site: Site, place: Workplace, kill: Kill | None = None) -> Run:
    pairs = [f"{name}={value}" for name, value in place.settings(plain=False).items()]
    program = (str(PROJECT / "two_crawlers.py"),)
    words = [*PAIR, *pairs]
    return watched(words, site=site, log=place.next_log(), program=program, kill=kill)


@pytest.mark.soak
def test_two_crawlers_in_one_process_have_a_job_each(
    site: Site, truths: Truths, place: Workplace
) -> None:
    expected = {name: truths(name).items for name in PAIR}
    killed = run_pair(site, place, at_hits(90))
    assert killed.killed_at is not None, killed.tail()
    last = run_pair(site, place)
    assert last.exit_code == 0, last.tail()
    assert {row["job"] for row in job_store(place).jobs()} == set(PAIR)
    for name in PAIR:
        difference = compare(expected[name], stored_items(place, name))
        assert not difference.lost, f"{name}: {difference}"
        assert not difference.twice, f"{name}: {difference}"


def test_completed_job_begins_its_next_number(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher
) -> None:
    expected = truths("generators").items
    for _ in range(2):
        crawl_through("generators", [], site=site, place=place, launcher=launcher)
    numbers = {row["number"] for row in job_store(place).jobs()}
    assert numbers == {1, 2}
    for number in numbers:
        assert stored_items(place, f"generators#{number}") == expected


def test_two_arguments_are_two_jobs(site: Site, place: Workplace, launcher: Launcher) -> None:
    for colour in ("red", "blue"):
        words = ["crawl", "start_without_requests", "-a", f"colour={colour}"]
        words += options_of("-s", place.settings(plain=False))
        run = watched(words, site=site, log=place.next_log(), launcher=launcher)
        assert run.is_finished, run.tail()
    jobs = [row["job"] for row in job_store(place).jobs()]
    assert len(set(jobs)) == 2, jobs
    assert all(job.startswith("start_without_requests-") for job in jobs), jobs


def run_standalone(
    site: Site, place: Workplace, settings: dict[str, Any], kill: Kill | None = None
) -> Run:
    words = ["runspider", str(STANDALONE), "-a", f"site={site.url}", *options_of("-s", settings)]
    outside = place.path
    return watched(words, site=site, log=place.next_log(), folder=outside, kill=kill)


def test_runspider_goes_on_after_a_kill(site: Site, place: Workplace, tmp_path: Path) -> None:
    plain_place = Workplace(tmp_path / "plain")
    recorder = {"EXTENSIONS": '{"kinds.extensions.ItemRecorder": 500}'}
    plain_settings = {**recorder, "RECORD_ITEMS": plain_place.recorded}
    plain_place.path.mkdir()
    plain = run_standalone(site, plain_place, plain_settings)
    assert plain.is_finished, plain.tail()
    expected = recorded_items(plain_place)
    assert expected.total() == site.pages

    addon = {"ADDONS": '{"scrapy_resume.Addon": 500}', "RESUME_STORE": place.location}
    killed = run_standalone(site, place, addon, at_hits(25))
    assert killed.exit_code == -9, killed.tail()
    last = run_standalone(site, place, addon)
    assert last.is_finished, last.tail()
    [job] = job_store(place).jobs()
    items: Counter[str] = stored_items(place, job["job"])
    assert items == expected
