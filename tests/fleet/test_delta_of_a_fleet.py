"""A delta crawl by many workers: what any of them has given is known to all."""

from __future__ import annotations

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.hosts_graph import HostGraph

GRAPH = HostGraph(hosts=6, pages=60)
STARTS = 12


@pytest.mark.soak
def test_workers_skip_what_other_workers_gave_in_an_earlier_number(new_fleet: NewFleet) -> None:
    fleet = new_fleet(GRAPH, settings={"RESUME_MODE": "delta", "RESUME_ORPHAN_TIMEOUT": 60})
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    assert fleet.verdict().is_clean, fleet.story()
    asked = len(fleet.hits())

    fleet.arguments = {"starts": STARTS}
    fleet.start_together(2)
    fleet.expect_success()
    fleet.expect_completed()
    status = fleet.status()
    assert status["number"] == 2, fleet.story()
    assert len(status["runs"]) == 2, "one of them did not join"
    again = sorted(hit.page for hit in fleet.hits()[asked:])
    assert again == list(range(STARTS)), "a page that start() does not yield"
    assert status["items"]["stored"] == STARTS, fleet.story()
    linked = {link for page in range(STARTS) for link in GRAPH.links_of(page)}
    skipped = [row for row in fleet.store().requests(fleet.job) if row["error"] == "delta"]
    assert {int(row["url"].rpartition("/")[2]) for row in skipped} >= linked - set(range(STARTS))
