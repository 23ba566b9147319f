"""500 items with three steps that fail at random, through SIGKILLs: all ends as without them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fleet.test_steps import all_end
from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.postgres import postgres_server, postgres_url
from tests.support.runs import Workplace
from tests.support.site import Hit, Site
from tests.support.unsteadies import Unsteadies
from tests.support.unsteady import SHARES, way_of

__all__ = ["postgres_server", "postgres_url"]

COUNT = 500
KILLS = 3
SEEDS = range(10)
COMMITTED_SECONDS = 5.0
"""In which the finish of a page that was answered is committed, on a machine that is busy: on an
idle one it takes a commit interval."""

WORKERS = 3
FLEET = {"RESUME_ORPHAN_TIMEOUT": 3, "RESUME_HEARTBEAT": 0.5, "RESUME_STEP_CONCURRENCY": 6}

Whole = Callable[[int], dict[str, Any]]


@pytest.fixture(scope="module")
def whole(site: Site, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What an uninterrupted run of a seed gives."""
    known: dict[int, dict[str, Any]] = {}

    def of(seed: int) -> dict[str, Any]:
        if seed not in known:
            place = Workplace(tmp_path_factory.mktemp(f"whole-{seed}"))
            before = site.log
            site.begin(place.path / "hits.jsonl")
            job = Unsteadies(site, place, launcher, place.location, seed=seed, count=COUNT)
            run = job.run()
            assert run.is_finished, run.tail()
            assert set(job.fetched().values()) == {1}
            assert len(job.fetched()) == job.pages
            known[seed] = ends_of(job)
            site.begin(before.path)
            as_drawn(seed, known[seed]["states"])
        return known[seed]

    return of


def ends_of(job: Unsteadies) -> dict[str, Any]:
    """All that must not depend on kills. Fails unless every feed is what is stored."""
    stored = job.stored()
    assert stored.total() == job.count
    for name, items in job.feeds().items():
        assert items == stored, f"{name}: {items - stored} too many, {stored - items} lost"
    return {"states": job.states(), "items": stored}


def as_drawn(seed: int, states: dict[int, dict[str, Any]]) -> None:
    """Every way of a step has occurred, and has come to what it has to."""
    ends = {
        "skip": ("skipped", "SkipStep"),
        "fail": ("failed", "FailStep"),
        "raise": ("failed", "ValueError"),
        "hang": ("failed", "TimeoutError"),
    }
    seen = set()
    for n, steps in states.items():
        for name in ("stock", "price"):
            way = way_of(seed, name, n)
            seen.add(way)
            assert steps[name] == ends.get(way, ("done", None)), (n, name, way)
    assert seen == set(SHARES)


def after_calls(job: Unsteadies, count: int) -> Kill:
    """SIGKILL when so many more attempts have begun."""

    def kill(live: Live) -> float | None:
        wanted = job.called() + count
        while live.process.poll() is None and job.called() < wanted:
            time.sleep(0.02)
        return live.send(signal.SIGKILL)

    return kill


class Fetched:
    """Watches that a page is fetched again only if a kill came before its finish was committed."""

    def __init__(self, job: Unsteadies) -> None:
        self._job = job
        self._moments: list[float] = []
        self._settled: dict[str, int] = {}
        """The URLs of pages that were done → how often they were fetched until then."""

    def killed(self, moment: float) -> None:
        """A process is gone since this moment of the monotonic clock."""
        self._moments.append(moment)
        hits = self._job.fetched()
        for url in self._job.done_pages():
            self._settled.setdefault(url, hits[url])

    def check(self) -> None:
        hits = self._job.fetched()
        assert len(hits) == self._job.pages
        again = {url: hits[url] for url, count in self._settled.items() if hits[url] != count}
        assert not again, "fetched again, although they were done"
        before: dict[str, Hit] = {}
        for hit in self._job.site.log.hits():
            last = before.get(hit.url)
            assert last is None or self._was_lost(last, hit), (last, hit, self._moments)
            before[hit.url] = hit

    def _was_lost(self, last: Hit, hit: Hit) -> bool:
        return any(
            last.asked_at <= moment < hit.asked_at
            and (last.answered_at is None or moment - last.answered_at < COMMITTED_SECONDS)
            for moment in self._moments
        )


def killed_again_and_again(job: Unsteadies, seed: int, expected: dict[str, Any]) -> None:
    chance = random.Random(seed)
    fetched = Fetched(job)
    for _ in range(KILLS):
        run = job.run(after_calls(job, chance.randint(1, COUNT // 2)))
        assert run.killed_at is not None, run.tail()
        fetched.killed(run.killed_at)
    last = job.run()
    assert last.is_finished, last.tail()
    fetched.check()
    assert ends_of(job) == expected


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_on_sqlite_all_ends_as_if_nothing_had_been(
    site: Site, place: Workplace, launcher: Launcher, whole: Whole, seed: int
) -> None:
    expected = whole(seed)
    job = Unsteadies(site, place, launcher, place.location, seed=seed, count=COUNT)
    killed_again_and_again(job, seed, expected)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_on_postgresql_all_ends_as_if_nothing_had_been(
    site: Site, place: Workplace, launcher: Launcher, whole: Whole, postgres_url: str, seed: int
) -> None:
    expected = whole(seed)
    job = Unsteadies(site, place, launcher, postgres_url, seed=seed, count=COUNT)
    killed_again_and_again(job, seed, expected)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_whose_workers_are_killed_ends_as_if_nothing_had_been(
    site: Site, place: Workplace, launcher: Launcher, whole: Whole, postgres_url: str, seed: int
) -> None:
    expected = whole(seed)
    job = Unsteadies(site, place, launcher, postgres_url, seed=seed, count=COUNT)
    chance = random.Random(seed)
    fetched = Fetched(job)
    workers = [job.start(**FLEET) for _ in range(WORKERS)]
    try:
        for _ in range(KILLS):
            wanted = job.called() + chance.randint(1, COUNT // 2)
            deadline = time.monotonic() + 60
            while job.called() < wanted and time.monotonic() < deadline:
                time.sleep(0.02)
            process, log = workers.pop(0)
            assert process.poll() is None, log.read_text()[-4000:]
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            fetched.killed(time.monotonic())
            workers.append(job.start(**FLEET))
    finally:
        all_end(workers)
    fetched.check()
    assert ends_of(job) == expected
