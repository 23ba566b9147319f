"""A crawl that died is copied, deleted, put back and gone on with; nothing is lost or twice."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.fixtures import Truths
from tests.support.kills import at_hits
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

JOB = "generators"


def test_a_job_goes_on_from_its_copy(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher
) -> None:
    expected = truths(JOB).items

    def resume(*words: str) -> Run:
        given = options_of("-s", {"RESUME_STORE": place.location})
        log = place.next_log()
        run = watched(
            ["resume", *words, *given], site=site, log=log, folder=PROJECT, launcher=launcher
        )
        assert run.exit_code == 0, run.tail()
        return run

    feed, copy = place.path / "items.jsonl", place.path / "copy"
    settings = {"FEEDS": json.dumps({str(feed): {"format": "jsonlines"}})}
    killed = crawl(
        JOB, site=site, place=place, settings=settings, kill=at_hits(20), launcher=launcher
    )
    assert killed.killed_at is not None
    taken_back = json.loads(resume("recover", "--json").text)
    assert (len(taken_back["workers"]), taken_back["status"]) == (1, "paused")
    resume("backup", JOB, str(copy))
    before = stored_items(place, JOB)
    # More is crawled after the copy, and lost with the job: the feed has it already.
    more = crawl(
        JOB, site=site, place=place, settings=settings, kill=at_hits(10), launcher=launcher
    )
    assert more.killed_at is not None
    assert json.loads(resume("reset", JOB, "--yes", "--json").text)["deleted"] == [f"{JOB}#1"]
    assert job_store(place).jobs() == []
    resume("restore", str(copy))
    assert stored_items(place, JOB) == before
    resume("verify")
    assert resume("run", JOB).is_finished
    resume("verify", JOB)
    difference = compare(expected, stored_items(place, JOB))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)
    assert _lines(feed) == expected.total()
    assert resume("clean", "--days", "0").text == f"{JOB}#1 is deleted\n"
    assert job_store(place).jobs() == []
    assert _lines(feed) == expected.total(), "feeds stay"


def _lines(feed: Path) -> int:
    return feed.read_text().count("\n")
