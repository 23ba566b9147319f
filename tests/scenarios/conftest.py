"""The scenarios of the example project, which is no package of this one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.fleet_launcher import FleetLauncher
from tests.support.postgres import postgres_server, postgres_url
from tests.support.site import REPO

__all__ = ["postgres_server", "postgres_url"]

sys.path.insert(0, str(REPO / "example_project"))


@pytest.fixture(scope="session")
def launcher() -> Iterator[FleetLauncher]:
    with FleetLauncher() as running:
        yield running
