"""The process ends at the n-th write of the store; resumed, all is whole.

A stride of the points here; ``make soak`` goes through every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.write_points import SPIDER, WritePoints
from tests.support.fixtures import Truths
from tests.support.launcher import Launcher
from tests.support.site import Site

POINTS = 6


@pytest.fixture
def points(tmp_path: Path, site: Site, truths: Truths, launcher: Launcher) -> WritePoints:
    return WritePoints(site, tmp_path, truths(SPIDER).items, launcher)


@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_a_write_nothing_is_lost_or_twice(points: WritePoints) -> None:
    count = points.count()
    assert count > POINTS, "the trace saw hardly any writes"
    ended = points.of_first_runs(range(1, count + 1, count // POINTS))
    assert [str(one) for one in ended if not one.is_whole] == []
    assert sum(one.reached for one in ended) > POINTS // 2, "most points were not reached"


@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_a_write_of_a_recovery_nothing_is_lost_or_twice(points: WritePoints) -> None:
    ended = points.of_recoveries(range(1, 3 * POINTS, 3))
    assert [str(one) for one in ended if not one.is_whole] == []
    assert sum(one.reached for one in ended) > POINTS // 2, "most points were not reached"
