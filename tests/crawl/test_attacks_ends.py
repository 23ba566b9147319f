"""Crawls that end early or oddly: they end, and lose nothing."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.crawl.test_attacks_requests import attack, status_of
from tests.support.kills import after_seconds, at_hits, in_turn, when_logged
from tests.support.reactors import NO_REACTOR
from tests.support.runs import Workplace, job_store

__all__ = ["attack"]


def test_start_that_raises_at_once_ends_the_process(attack: Any, place: Workplace) -> None:
    plain = attack("raises_before_start", plain=True)
    run = attack("raises_before_start")
    assert run.exit_code == plain.exit_code, run.tail()
    assert "nothing to begin with" in run.text
    assert status_of(place) == "paused"


def test_item_that_cannot_be_logged_does_not_cost_its_siblings(
    attack: Any, place: Workplace
) -> None:
    run = attack("bad_log")
    assert run.is_finished, run.tail()
    assert sorted(map(list, job_store(place).items("bad_log"))) == [["better"], ["good"]]


def test_error_that_cannot_be_shown_fails_its_request(attack: Any, place: Workplace) -> None:
    run = attack("no_text")
    assert run.is_finished, run.tail()
    rows = {row["url"].rpartition("/")[2]: row for row in job_store(place).requests("no_text")}
    assert {name: row["error"] for name, row in rows.items()} == {
        "callback": "NoText",
        "download": "NoText",
        "pipeline": "NoText",
        "good": None,
    }
    failed = [name for name, row in rows.items() if row["state"] == "failed"]
    assert sorted(failed) == ["callback", "download"]
    [job] = job_store(place).jobs()
    assert job["items"] == {"stored": 2, "dropped": 0, "failed": 1}


def test_job_whose_name_is_not_utf8_is_crawled(attack: Any, place: Workplace) -> None:
    """On the command line its bytes become lone surrogates."""
    feed = place.path / "items.jsonl"
    settings = {
        "RESUME_JOB": "caf\udce9",
        "RESUME_EVENT_LOG": True,
        "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}}),
    }
    run = attack("no_text", settings, args={"city": "K\udcf6ln"})
    assert run.is_finished, run.tail()
    assert len(feed.read_bytes().splitlines()) == 2
    assert "not written any more" not in run.text
    [job] = job_store(place).jobs()
    assert job["status"] == "completed"


def test_process_that_a_pipeline_forks_leaves_the_job_to_its_parent(
    attack: Any, place: Workplace
) -> None:
    run = attack("forks", kill=at_hits(2, 0.2))
    assert run.killed_at is not None
    assert "forced shutdown" not in run.text
    assert status_of(place) == "crashed"  # nobody has closed the job before its process died
    run = attack("forks")
    assert run.is_finished, run.tail()


@pytest.mark.skipif(bool(NO_REACTOR.unavailable), reason=str(NO_REACTOR.unavailable))
def test_start_items_in_pipelines_at_a_forced_end_are_given_again(
    attack: Any, place: Workplace
) -> None:
    twice = in_turn(
        when_logged("Spider opened", 0.3, signal.SIGTERM), after_seconds(0.1, signal.SIGTERM)
    )
    spider = "start_items_in_pipelines"
    attack(spider, kill=twice, mode=NO_REACTOR)
    assert status_of(place) == "paused"
    run = attack(spider, mode=NO_REACTOR)
    assert run.is_finished, run.tail()
    assert sorted(item["number"] for item in job_store(place).items(spider)) == [0, 1, 2]


def test_sigterm_ends_a_crawl_whose_callbacks_wait_for_a_store_that_is_out(
    attack: Any, place: Workplace
) -> None:
    settings = {"RESUME_CLOSE_TIMEOUT": 0.2}
    kill = when_logged("The crawl waits for the store", 0.2, signal.SIGTERM)
    run = attack("many_requests", settings, kill=kill)
    assert run.killed_at is not None
    assert run.exit_code == 1, run.tail()
    assert run.ended_at - run.killed_at < 8
