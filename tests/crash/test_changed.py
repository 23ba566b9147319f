"""Code, arguments, settings and feeds change between runs: the items are plain Scrapy's, or the job
says what it holds and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.changed import Trial, changing_site
from tests.support.launcher import Launcher
from tests.support.site import Site

SHORT = (2, 9, 17, 20, 45, 46)
"""With requests that are held and without; some fail without names that are remembered."""


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with changing_site(tmp_path_factory.mktemp("small-site")) as site:
        yield site


def check(seed: int, site: Site, folder: Path, launcher: Launcher) -> None:
    trial = Trial(seed, site, folder, launcher)
    complaints = list(trial.complaints())
    assert not complaints, "\n".join([f"seed {seed}", trial.plan.described(), *complaints])


@pytest.mark.parametrize("seed", SHORT)
def test_what_people_change_between_runs_costs_no_items(
    seed: int, small_site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, small_site, tmp_path, launcher)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1_000, 1_300))
def test_whatever_people_change_between_runs_costs_no_items(
    seed: int, small_site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, small_site, tmp_path, launcher)
