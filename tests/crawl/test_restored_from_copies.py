"""RESUME_BACKUP: a damaged job goes on from the copy beside it, and nothing is lost or twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.canonical import canonical
from tests.support.fixtures import Truths
from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.runs import (
    PROJECT,
    Run,
    Workplace,
    crawl,
    options_of,
    stored_items,
    watched,
)
from tests.support.site import Site

pytestmark = pytest.mark.sqlite

JOB = "generators"
HITS_AFTER_COPY = 12


def copy_of(place: Workplace, number: int = 1) -> Path:
    return place.store / f"{JOB}#{number}.sqlite3.backup"


def after_a_copy(place: Workplace) -> Kill:
    """SIGKILL when a copy is there that has something, and more has been crawled since."""

    def kill(live: Live) -> float | None:
        def copied() -> bool:
            with closing(sqlite3.connect(f"{copy_of(place).as_uri()}?mode=ro", uri=True)) as copy:
                return bool(copy.execute("SELECT done FROM job").fetchone()[0] > 5)

        assert live.until(lambda: copy_of(place).exists() and copied())
        # The copy that is damaged with: later ones would have what is crawled from here on.
        kept = copy_of(place).read_bytes()
        hits = live.hits() + HITS_AFTER_COPY
        live.until(lambda: live.hits() >= hits)
        moment = live.send(signal.SIGKILL)
        if moment is not None:
            live.process.wait(10)
            copy_of(place).write_bytes(kept)
        return moment

    return kill


def blank_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)


def cut(path: Path) -> None:
    """As a disk loses it: the file is not changed later than its job has changed it."""
    before = path.stat()
    os.truncate(path, before.st_size // 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def scribble(path: Path) -> None:
    """Pages in the middle are somebody else's."""
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(os.urandom(4096))


def lose(path: Path) -> None:
    path.unlink()


def go_back(path: Path) -> None:
    """The WAL is lost, and with it all that no checkpoint has moved."""
    path.with_name(f"{path.name}-wal").unlink()


@pytest.fixture
def settings(place: Workplace) -> dict[str, Any]:
    feeds = {
        str(place.path / "lines.jsonl"): {"format": "jsonlines"},
        str(place.path / "whole.json"): {"format": "json"},
    }
    return {"RESUME_BACKUP": 0.2, "FEEDS": json.dumps(feeds), "DOWNLOAD_DELAY": 0.01}


def in_feeds(place: Workplace) -> list[int]:
    lines = [json.loads(line) for line in (place.path / "lines.jsonl").read_text().splitlines()]
    whole = json.loads((place.path / "whole.json").read_text())
    assert Counter(map(canonical, lines)) == Counter(map(canonical, whole))
    assert len({json.dumps(item, sort_keys=True) for item in lines}) > 1
    return [len(lines), len(whole)]


@pytest.mark.parametrize(
    "damage",
    [
        *(cut, lose, go_back),
        *(pytest.param(one, marks=pytest.mark.soak) for one in (blank_header, empty, scribble)),
    ],
)
def test_a_killed_and_damaged_job_goes_on_from_its_copy(
    site: Site,
    truths: Truths,
    place: Workplace,
    launcher: Launcher,
    settings: dict[str, Any],
    damage: Callable[[Path], None],
) -> None:
    expected = truths(JOB).items
    killed = crawl(
        JOB,
        site=site,
        place=place,
        settings=settings,
        kill=after_a_copy(place),
        launcher=launcher,
    )
    assert killed.killed_at is not None, killed.tail()
    path = place.store / f"{JOB}#1.sqlite3"
    damage(path)
    damaged = path.read_bytes() if path.exists() else None

    last = crawl(JOB, site=site, place=place, settings=settings, launcher=launcher)
    assert last.is_finished, last.tail()
    assert f"Job {JOB}#1 is restored from its copy of 20" in last.text
    assert "ERROR" in next(line for line in last.text.splitlines() if "is restored" in line)
    assert stored_items(place, JOB) == expected
    assert in_feeds(place) == [expected.total()] * 2
    kept = place.store / f"{path.name}.damaged-1"
    if damaged is None:
        assert "RESUME_MODE=fresh" in last.text
    else:
        assert kept.read_bytes() == damaged
        assert f"is kept: {kept}" in last.text
    again = crawl(JOB, site=site, place=place, settings=settings, launcher=launcher)
    assert "is restored" not in again.text, "the next number begins"
    assert f"Job {JOB}#2 begins" in again.text


def graceful(site: Site, place: Workplace, launcher: Launcher, settings: dict[str, Any]) -> Run:
    stopping = {**settings, "RESUME_BACKUP": 3600, "CLOSESPIDER_ITEMCOUNT": 10}
    return crawl(JOB, site=site, place=place, settings=stopping, launcher=launcher)


def test_a_job_that_came_to_rest_loses_nothing(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher, settings: dict[str, Any]
) -> None:
    """The last copy is made when the job is closed, long before the interval is over."""
    expected = truths(JOB).items
    paused = graceful(site, place, launcher, settings)
    assert paused.exit_code == 0, paused.tail()
    before = stored_items(place, JOB)
    assert before.total() >= 10
    cut(place.store / f"{JOB}#1.sqlite3")
    again = graceful(site, place, launcher, settings)
    assert "in 1 second at most" in again.text, again.tail()
    assert not before - stored_items(place, JOB)
    last = crawl(JOB, site=site, place=place, settings=settings, launcher=launcher)
    assert last.is_finished, last.tail()
    assert stored_items(place, JOB) == expected
    assert in_feeds(place) == [expected.total()] * 2


@pytest.mark.parametrize("has_last_copy", [True, False])
def test_a_completed_job_that_is_damaged_stays_what_it_is_or_is_completed_again(
    site: Site,
    truths: Truths,
    place: Workplace,
    launcher: Launcher,
    settings: dict[str, Any],
    has_last_copy: bool,
) -> None:
    """``has_last_copy`` false: the process was killed before the last copy was made."""
    expected = truths(JOB).items
    paused = graceful(site, place, launcher, settings)
    assert paused.exit_code == 0, paused.tail()
    older = copy_of(place).read_bytes()
    whole = crawl(
        JOB, site=site, place=place, settings={**settings, "RESUME_BACKUP": 3600}, launcher=launcher
    )
    assert whole.is_finished, whole.tail()
    if not has_last_copy:
        copy_of(place).write_bytes(older)
    blank_header(place.store / f"{JOB}#1.sqlite3")
    once = {**settings, "RESUME_MODE": "once"}
    run = crawl(JOB, site=site, place=place, settings=once, launcher=launcher)
    assert run.is_finished, run.tail()
    assert f"Job {JOB}#1 is restored" in run.text
    assert ("nothing to do" in run.text) == has_last_copy
    assert stored_items(place, JOB) == expected
    assert in_feeds(place) == [expected.total()] * 2


def test_resume_run_restores_too(
    site: Site, truths: Truths, place: Workplace, launcher: Launcher, settings: dict[str, Any]
) -> None:
    expected = truths(JOB).items
    assert graceful(site, place, launcher, settings).exit_code == 0
    lose(place.store / f"{JOB}#1.sqlite3")
    words = ["resume", "run", JOB, *options_of("-s", {"RESUME_STORE": place.location})]
    again = watched(words, site=site, log=place.next_log(), folder=PROJECT, launcher=launcher)
    assert "is restored from its copy" in again.text, again.tail()
    # Its settings are those that it was given: it stops again.
    assert again.exit_code == 0, again.tail()
    last = crawl(JOB, site=site, place=place, settings=settings, launcher=launcher)
    assert last.is_finished, last.tail()
    assert stored_items(place, JOB) == expected
    assert in_feeds(place) == [expected.total()] * 2
