"""A spider that closes itself: its job is completed if nothing of it was left to do."""

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
