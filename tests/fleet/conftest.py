"""A server, a launcher, and as many sites and fleets as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixtures import launcher, place, site
from tests.support.fleet import Fleet
from tests.support.fleet_launcher import FleetLauncher
from tests.support.hosts_graph import HostGraph
from tests.support.hosts_site import LATENCY_SECONDS, HostsSite
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["launcher", "place", "postgres_server", "postgres_url", "site"]

NewFleet = Callable[..., Fleet]


@pytest.fixture(scope="session")
def fleet_launcher() -> Iterator[FleetLauncher]:
    with FleetLauncher() as running:
        yield running


@pytest.fixture
def new_fleet(
    tmp_path: Path, postgres_url: str, fleet_launcher: FleetLauncher
) -> Iterator[NewFleet]:
    """Fleets without workers yet, each with a site of its own, all in one fresh database.

    ``how`` has the fields of ``Fleet``: settings, arguments, words, job.
    """
    with ExitStack() as opened:

        def make(
            graph: HostGraph, *, latency_seconds: float = LATENCY_SECONDS, **how: Any
        ) -> Fleet:
            folder = tmp_path / how.get("job", "fleet")
            site = HostsSite(folder, graph, latency_seconds=latency_seconds)
            opened.enter_context(site)
            return opened.enter_context(Fleet(postgres_url, site, folder, fleet_launcher, **how))

        yield make
