"""One worker is asked to stop (SIGTERM once), the other goes on."""

from __future__ import annotations

import time

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.hosts_graph import HostGraph

ORPHAN_SECONDS = 60
SOON_SECONDS = 25
"""Well before the orphan timeout."""


def test_stopped_workers_leases_are_back_at_once(new_fleet: NewFleet) -> None:
    settings = {**SLOWLY, "DOWNLOAD_DELAY": 0.2, "RESUME_ORPHAN_TIMEOUT": ORPHAN_SECONDS}
    fleet = new_fleet(HostGraph(hosts=20, pages=300), settings=settings)
    first, second = fleet.start_together(2)
    fleet.wait_until(lambda: len(fleet.at_work()) == 2, "work for both")
    fleet.wait_for_hits(60)
    asked_at = first.end_gracefully()
    assert first.process.wait(20) == 0, fleet.story()
    ended_at = time.monotonic()
    status = fleet.status()
    assert second.is_running, f"the crawl was over when the first had stopped; {fleet.story()}"
    assert status["status"] == "running", f"{status}; {fleet.story()}"

    fleet.expect_success()
    fleet.expect_completed()
    seconds = time.monotonic() - asked_at
    print(f"stopped in {ended_at - asked_at:.1f} s, the rest done {seconds:.1f} s after the signal")
    assert seconds < SOON_SECONDS, f"{seconds} s; {fleet.story()}"
    found = fleet.verdict()
    assert found.is_clean, f"{found}; {fleet.story()}"
