"""Fixtures of crawls whose items have steps."""

from __future__ import annotations

import pytest

from tests.support.fixtures import launcher, place, site
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.steppings import Steppings

__all__ = ["launcher", "place", "site"]


@pytest.fixture
def steppings(site: Site, place: Workplace, launcher: Launcher) -> Steppings:
    return Steppings(site, place, launcher)
