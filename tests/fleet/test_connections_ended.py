"""All connections to the database are ended in mid-crawl, over and over."""

from __future__ import annotations

import pytest

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.hosts_graph import HostGraph
from tests.support.postgres import PostgresServer

TIMES = 6
PAGES = 300


@pytest.mark.soak
def test_crawl_goes_on_when_its_connections_are_ended(
    new_fleet: NewFleet, postgres_server: PostgresServer
) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=PAGES), settings=SLOWLY)
    fleet.start_together(2)
    ended = []
    for number in range(TIMES):
        fleet.wait_for_hits(PAGES * (number + 1) // (TIMES + 2))
        ended.append(postgres_server.end_connections(fleet.url))
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict()
    print(f"connections ended: {ended}; {found}")
    assert sum(ended), "no worker was connected"
    assert found.is_whole, f"{found}; {fleet.story()}"
