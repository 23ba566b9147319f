"""What people do to long crawls: each scenario of the example project shows what is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios.every import SCENARIOS
from scenarios.site import Site
from scenarios.stage import Stage

from tests.support.fleet_launcher import FleetLauncher

NEEDS_POSTGRES = {"orphaned_workers"}


@pytest.mark.sqlite("the scenarios name their stores")
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_shows_what_is_true(
    name: str, tmp_path: Path, launcher: FleetLauncher, request: pytest.FixtureRequest
) -> None:
    postgres = request.getfixturevalue("postgres_url") if name in NEEDS_POSTGRES else None
    with Site().open() as site, Stage(tmp_path, site, launcher.start, postgres).closing() as stage:
        SCENARIOS[name](stage)
