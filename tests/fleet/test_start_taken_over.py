"""The worker that runs ``start()`` dies; another one takes it over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import Fleet, Worker
from tests.support.fleet_spider import BEGAN, EXHAUSTED
from tests.support.hosts_graph import HostGraph

PAUSE_SECONDS = 0.01


def killed_in_start(new_fleet: NewFleet, folder: Path, pages: int) -> None:
    gate = folder / "gate"  # start() does not come to its end before the kill
    arguments = {"starts": pages, "start_pause": PAUSE_SECONDS, "follow": 0, "gate": gate}
    fleet = new_fleet(HostGraph(hosts=20, pages=pages), arguments=arguments)
    fleet.wait_until_joined(fleet.start(3))
    fleet.wait_for_hits(pages // 3)
    death = starting(fleet).kill()
    gate.touch()
    fleet.expect_success()
    fleet.expect_completed()
    began = [row["worker"] for row in fleet.journal(BEGAN)]
    assert len(began) == 2, f"start() was run by {began}; {fleet.story()}"
    assert began[0] == death.worker != began[1], f"start() was run by {began}; {fleet.story()}"
    assert len(fleet.journal(EXHAUSTED)) == 1, fleet.story()
    found = fleet.verdict(deaths=[death])
    print(f"start() was run by {began}; {found}")
    assert found.is_clean, f"{found}; {fleet.story()}"


def starting(fleet: Fleet) -> Worker:
    """The worker that runs ``start()``."""
    [name] = [row["worker"] for row in fleet.journal(BEGAN)]
    return next(worker for worker in fleet.workers if worker.name == name)


def test_start_is_taken_over_from_a_dead_worker(new_fleet: NewFleet, tmp_path: Path) -> None:
    killed_in_start(new_fleet, tmp_path, pages=200)


@pytest.mark.soak
def test_long_start_is_taken_over_from_a_dead_worker(new_fleet: NewFleet, tmp_path: Path) -> None:
    killed_in_start(new_fleet, tmp_path, pages=500)
