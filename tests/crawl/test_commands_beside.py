"""Scrapy's other commands open no job, and disturb none that is under way."""

from __future__ import annotations

import time

import pytest

from tests.support.fixtures import Truths
from tests.support.kills import Live, at_hits
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import (
    Workplace,
    crawl_through,
    crawl_words,
    end,
    job_store,
    options_of,
    started,
    stored_items,
    watched,
)
from tests.support.site import Site

COMMANDS = {
    "fetch": ["fetch", "{page}"],
    "shell": ["shell", "-c", "response.status", "{page}"],
    "parse": ["parse", "--spider", "generators", "{page}"],
    "check": ["check", "generators"],
    "list": ["list"],
    "settings": ["settings", "--get", "BOT_NAME"],
}
LONGER_THAN_ALL_COMMANDS = 60.0
"""Seconds that a page takes meanwhile: the crawl is at one when they have ended."""

SAYS = {
    "fetch": "<title>Page 1</title>",
    "shell": "200",
    "parse": "Page 1",
    "check": "OK",
    "list": "generators",
    "settings": "kinds",
}


def run_command(name: str, site: Site, place: Workplace, launcher: Launcher | None) -> str:
    """Runs one command with the store's setting; fails unless it did its work."""
    words = [word.format(page=f"{site.url}/page/1") for word in COMMANDS[name]]
    words += options_of("-s", place.settings(plain=False))
    run = watched(words, site=site, log=place.next_log(), launcher=launcher)
    assert run.exit_code == 0, run.tail()
    assert SAYS[name] in run.text, run.tail()
    return run.text


@pytest.mark.parametrize("name", COMMANDS)
def test_command_opens_no_job(name: str, site: Site, place: Workplace, launcher: Launcher) -> None:
    run_command(name, site, place, launcher)
    assert not place.store.exists() or not job_store(place).jobs()


def test_commands_beside_a_live_crawl_disturb_nothing(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher
) -> None:
    expected = truths("generators").items
    site.begin(place.path / "slow.jsonl", latency=0.5)
    words = crawl_words("generators", place, settings={"CONCURRENT_REQUESTS": 1})
    log = place.next_log()
    process = started(words, site=site, log=log)
    try:
        live = Live(process, site.log, 0, log, deadline=time.monotonic() + 60)
        assert live.until(lambda: live.hits() >= 3), log.read_text()
        site.begin(place.path / "slower.jsonl", latency=LONGER_THAN_ALL_COMMANDS)
        with Site(place.path, pages=1) as other:
            for name in COMMANDS:
                run_command(name, other, place, launcher)
        [job] = job_store(place).jobs()
        assert job["status"] == "running"
        assert process.poll() is None, "the crawl ended before the commands did"
    finally:
        end(process)
    site.begin(place.path / "rest.jsonl")
    crawl_through("generators", [at_hits(20)], site=site, place=place, launcher=launcher)
    difference = compare(expected, stored_items(place, "generators"))
    assert not difference.lost, str(difference)
    assert not difference.twice, str(difference)
    assert len(job_store(place).jobs()) == 1
