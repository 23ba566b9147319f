"""Steps of items that three workers share: each result once, limits over all, kills between."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.steps.test_kills import items_of
from tests.support.kills import Process
from tests.support.launcher import Launcher
from tests.support.runs import Workplace, end
from tests.support.site import Site
from tests.support.steppings import Steppings

WORKERS = 3
QUICK = {"RESUME_ORPHAN_TIMEOUT": 3, "RESUME_HEARTBEAT": 0.5}


@pytest.fixture
def shop(site: Site, place: Workplace, launcher: Launcher, postgres_url: str) -> Steppings:
    return Steppings(site, place, launcher, postgres_url)


def all_end(workers: list[tuple[Process, Path]], seconds: float = 80) -> None:
    deadline = time.monotonic() + seconds
    try:
        for process, log in workers:
            code = process.wait(max(0.1, deadline - time.monotonic()))
            assert code == 0, log.read_text()[-4000:]
    finally:
        for process, _ in workers:
            end(process)


def test_three_workers_run_each_step_once(shop: Steppings) -> None:
    items: list[dict[str, Any]] = [
        {"n": n, "html": "x", "plan": {"seconds": 0.05, "blocks": 0.05}} for n in range(40)
    ]
    settings = {**QUICK, "RESUME_STEP_CONCURRENCY": 2}
    all_end([shop.start(items, None, settings) for _ in range(WORKERS)])
    assert shop.job()["status"] == "completed"
    for name in ("double", "plain", "html"):
        assert shop.called(name) == dict.fromkeys(range(40), 1)
    assert {n: item["plain"] for n, item in shop.fed().items()} == {n: 2 * n + 1 for n in range(40)}


@pytest.mark.soak
def test_a_rate_limit_holds_over_all_workers(shop: Steppings) -> None:
    items = [{"n": n} for n in range(35)]
    all_end([shop.start(items, {"stepping.limited": 1}, QUICK) for _ in range(WORKERS)])
    lines = (shop.place.path / "calls.jsonl").read_text().splitlines()
    times = sorted(json.loads(line)["at"] for line in lines)
    assert len(times) == len(items)
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first >= 2.0
    assert len(shop.fed()) == len(items)


@pytest.mark.soak
def test_an_item_is_in_the_part_of_the_worker_that_has_ended_its_last_step(
    shop: Steppings,
) -> None:
    items: list[dict[str, Any]] = [{"n": n, "plan": {"blocks": 0.05}} for n in range(30)]
    settings = {**QUICK, "RESUME_FEEDS": "parts", "RESUME_STEP_CONCURRENCY": 2}
    steps: dict[str, int | None] = {"stepping.double": 1, "stepping.plain": 2}
    all_end([shop.start(items, steps, settings) for _ in range(WORKERS)])
    assert shop.job()["status"] == "completed"
    parts = sorted(shop.place.path.glob("out.part-*.jsonl"))
    assert len(parts) == WORKERS
    found = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert sorted(item["n"] for item in found) == list(range(30))
    assert all(item["plain"] == 2 * item["n"] + 1 for item in found)


def test_workers_that_die_leave_their_steps_to_others(
    shop: Steppings, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    seed = 3
    items = items_of(seed, 40)
    whole = Workplace(tmp_path / "whole")
    whole.path.mkdir()
    alone = Steppings(site, whole, launcher)
    run = alone.run(items, None, on_site=True)
    assert run.is_finished, run.tail()
    chance = random.Random(seed)
    workers = [shop.start(items, None, QUICK, on_site=True) for _ in range(WORKERS)]
    try:
        for _ in range(3):
            wanted = shop.called().total() + chance.randint(5, 15)
            deadline = time.monotonic() + 20
            while shop.called().total() < wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            process, _ = workers.pop(0)
            if process.poll() is None:
                process_group_killed(process)
            workers.append(shop.start(items, None, QUICK, on_site=True))
    finally:
        all_end(workers)
    assert shop.job()["status"] == "completed"
    assert shop.stored() == alone.stored()
    assert shop.fed() == alone.stored()


def process_group_killed(process: Process) -> None:
    import os

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
