"""The database server crashes in mid-crawl, over and over."""

from __future__ import annotations

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.hosts_graph import HostGraph
from tests.support.postgres import PostgresServer

RESTARTS = 5
PAGES = 400


def test_crawl_goes_on_through_five_crashes_of_the_server(
    new_fleet: NewFleet, postgres_server: PostgresServer
) -> None:
    fleet = new_fleet(HostGraph(hosts=20, pages=PAGES), settings=SLOWLY)
    fleet.start_together(2)
    for number in range(RESTARTS):
        fleet.wait_for_hits(PAGES * (number + 1) // (RESTARTS + 2))
        postgres_server.restart("immediate")
    fleet.expect_success()
    fleet.expect_completed()
    found = fleet.verdict()
    print(found)
    assert found.is_whole, f"{found}; {fleet.story()}; {postgres_server.tail()}"
