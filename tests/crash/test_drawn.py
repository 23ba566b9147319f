"""Features in combination, as seeds have them: the items and pages are those of plain Scrapy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.drawn import Trial, drawn_site, mode_of
from tests.support.launcher import Launcher
from tests.support.reactors import MODES
from tests.support.site import Site

SHORT = (63, 64, 68)
"""Small ones with much in them: with the asyncio reactor, with another, with none."""


@pytest.fixture(scope="module")
def many_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with drawn_site(tmp_path_factory.mktemp("many-hosts")) as site:
        yield site


def check(seed: int, site: Site, folder: Path, launcher: Launcher) -> None:
    trial = Trial(seed, site, folder, launcher, mode_of(seed, MODES))
    complaints = list(trial.complaints())
    assert not complaints, "\n".join([trial.world.described(), *complaints])


@pytest.mark.parametrize(
    "seed", [64, *(pytest.param(seed, marks=pytest.mark.soak) for seed in SHORT if seed != 64)]
)
def test_what_comes_together_gives_what_plain_scrapy_gives(
    seed: int, many_hosts: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, many_hosts, tmp_path, launcher)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_whatever_comes_together_gives_what_plain_scrapy_gives(
    seed: int, many_hosts: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, many_hosts, tmp_path, launcher)
