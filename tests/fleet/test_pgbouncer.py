"""A fleet whose workers reach the server through PgBouncer in transaction mode."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.support.fleet import SLOWLY, Fleet
from tests.support.fleet_launcher import FleetLauncher
from tests.support.hosts_graph import HostGraph
from tests.support.hosts_site import HostsSite
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import PostgresServer


def test_crawl_through_a_pooler_survives_a_kill(
    tmp_path: Path,
    postgres_url: str,
    postgres_server: PostgresServer,
    fleet_launcher: FleetLauncher,
) -> None:
    graph = HostGraph(hosts=20, pages=200)
    with ExitStack() as stack:
        bouncer = stack.enter_context(pgbouncer(postgres_server))
        site = stack.enter_context(HostsSite(tmp_path, graph))
        fleet = stack.enter_context(
            Fleet(bouncer.url(postgres_url), site, tmp_path, fleet_launcher, settings=SLOWLY)
        )
        first, *_ = fleet.start_together(3)
        fleet.wait_for_hits(60)
        death = first.kill()
        fleet.expect_success()
        fleet.expect_completed()
        found = fleet.verdict(deaths=[death])
        print(found)
        assert found.is_clean, f"{found}; {fleet.story()}"
