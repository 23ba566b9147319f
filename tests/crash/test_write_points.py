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


@pytest.mark.soak
@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_a_write_of_a_recovery_nothing_is_lost_or_twice(points: WritePoints) -> None:
    ended = points.of_recoveries(range(1, 3 * POINTS, 3))
    assert [str(one) for one in ended if not one.is_whole] == []
    assert sum(one.reached for one in ended) > POINTS // 2, "most points were not reached"


@pytest.fixture
def login(tmp_path: Path, site: Site, truths: Truths, launcher: Launcher) -> WritePoints:
    """Forty pages that need the session of the response that links to them."""
    return WritePoints(site, tmp_path, truths("login").items, launcher, "login")


@pytest.mark.soak
@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_a_write_what_a_login_yields_has_its_session(login: WritePoints) -> None:
    """Where the pages are committed and the login, whose callback still runs, is not."""
    count = login.count()
    ended = login.of_first_runs(range(count // 2, 4 * count // 5, 6))
    assert [str(one) for one in ended if not one.is_whole] == []


@pytest.fixture
def sharing(tmp_path: Path, site: Site, truths: Truths, launcher: Launcher) -> WritePoints:
    """Requests that share values, which their callbacks fill."""
    return WritePoints(site, tmp_path, truths("small_sharing").items, launcher, "small_sharing")


@pytest.mark.sqlite("the write points are statements of SQLite")
@pytest.mark.soak
def test_ended_at_a_write_what_requests_share_is_filled_once(sharing: WritePoints) -> None:
    count = sharing.count()
    ended = sharing.of_first_runs(range(count // 2, count, count // 3))
    assert [str(one) for one in ended if not one.is_whole] == []


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_any_write_what_requests_share_is_filled_once(sharing: WritePoints) -> None:
    ended = sharing.of_first_runs(range(1, sharing.count() + 1))
    assert [str(one) for one in ended if not one.is_whole] == []


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.sqlite("the write points are statements of SQLite")
def test_ended_at_any_write_what_a_login_yields_has_its_session(login: WritePoints) -> None:
    ended = login.of_first_runs(range(1, login.count() + 1))
    assert [str(one) for one in ended if not one.is_whole] == []
