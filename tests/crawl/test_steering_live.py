"""Crawls are steered by command while they run, and gone on with as they were started."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import schemas
from tests.support.fixtures import Truths
from tests.support.kills import Live, at_hits
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import (
    PROJECT,
    Run,
    Workplace,
    crawl,
    job_store,
    options_of,
    stored_items,
    watched,
)
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings

SLOWLY = {"DOWNLOAD_DELAY": 0.2, "CONCURRENT_REQUESTS": 1}


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    return Wanderings(site, place, launcher)


def resume(
    place: Workplace, site: Site, *words: str, folder: Path | None = None, **settings: Any
) -> Run:
    """``scrapy resume …`` in a process of its own."""
    given = options_of("-s", {"RESUME_STORE": place.location, **settings})
    where = place.path if folder is None else folder
    return watched(["resume", *words, *given], site=site, log=place.next_log(), folder=where)


def document(run: Run, name: str) -> Any:
    """What that command has printed with ``--json``: one document of its schema."""
    assert run.exit_code == 0, run.tail()
    found = json.loads(run.text)
    schemas.check(found, name)
    return found


def test_a_crawl_is_stopped_by_command_and_goes_on_by_command(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher
) -> None:
    expected = truths("generators").items
    stops: list[Run] = []

    def stop(live: Live) -> float | None:
        assert live.until(lambda: live.hits() >= 5)
        stops.append(resume(place, site, "stop", "--json"))
        return None

    feed = place.path / "items.jsonl"
    settings = {**SLOWLY, "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}})}
    first = crawl("generators", site=site, place=place, settings=settings, kill=stop)
    assert first.exit_code == 0, first.tail()
    answer = document(stops[0], "stop")
    assert (answer["stopped"], answer["status"], answer["reason"]) == (True, "paused", "shutdown")
    written = feed.read_text().count("\n")

    # Outside of its project it says where that is.
    lost = resume(place, site, "run", "generators")
    assert lost.exit_code == 1
    assert f"kinds.settings in {PROJECT}" in lost.text

    second = resume(place, site, "run", "generators", folder=PROJECT, DOWNLOAD_DELAY=0)
    assert second.is_finished, second.tail()
    difference = compare(expected, stored_items(place, "generators"))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)
    assert written < feed.read_text().count("\n") == expected.total()
    (job,) = job_store(place).jobs()
    assert [run["reason"] for run in job["runs"]] == ["shutdown", "finished"]

    third = resume(place, site, "run", folder=PROJECT)
    assert third.exit_code == 0
    assert "generators#1 is completed" in third.text


@pytest.mark.soak
def test_a_file_s_spider_goes_on_with_its_arguments_and_feeds_from_anywhere(
    wanderings: Wanderings, site: Site, place: Workplace, tmp_path: Path
) -> None:
    first = wanderings.run(SLOWLY, "-o", "pages.csv", "-a", "token=abc", kill=at_hits(5))
    assert first.killed_at is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    refused = resume(place, site, "run", JOB, folder=elsewhere)
    assert refused.exit_code == 1
    assert "-a token=…" in refused.text
    assert "abc" not in json.dumps(job_store(place).job(JOB))
    shown = document(
        resume(place, site, "run", "-a", "token=abc", "--dry-run", "--json", folder=elsewhere),
        "run",
    )
    assert shown["directory"] == str(place.path)
    assert shown["command"][:3] == ["scrapy", "runspider", str(wanderings.spider)]
    run = resume(
        place, site, "run", "-a", "token=abc", "--json", folder=elsewhere, DOWNLOAD_DELAY=0
    )
    assert run.exit_code == 0, run.tail()
    assert run.text.endswith("}\n"), run.tail()
    end = json.loads(run.text[run.text.rindex("\n{\n") :])  # what is before it is the crawl's log
    schemas.check(end, "run")
    assert (end["exit_code"], end["status"], end["reason"]) == (0, "completed", "finished")
    assert wanderings.titles() == wanderings.whole
    rows = (place.path / "pages.csv").read_text().split()
    assert Counter(rows)["title"] == 1
    assert len((place.path / "pages.csv").read_text().splitlines()) == site.pages + 1


def test_a_live_crawl_fetches_again_what_is_retried(
    wanderings: Wanderings, site: Site, place: Workplace
) -> None:
    def retry(live: Live) -> float | None:
        assert live.until(lambda: live.hits() >= 3 and bool(wanderings.requests(state="done")))
        words = ["retry", "--state", "done", "--url", "*/page/0", "--json"]
        answer = document(resume(place, site, *words), "retry")
        assert answer["requests"] == 1
        assert live.process.poll() is None, "the crawl ended before it was steered"
        return None

    run = wanderings.run({**SLOWLY, "DOWNLOAD_DELAY": 0.1}, kill=retry)
    assert run.is_finished, run.tail()
    assert [hit.url for hit in site.hits()].count("/page/0") == 2
    assert wanderings.titles() == wanderings.whole
    assert wanderings.job()["status"] == "completed"
    assert len(wanderings.job()["runs"]) == 1
