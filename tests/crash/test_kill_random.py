"""The short form of the soak: SIGKILLs at random moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.judged import SPIDER, judged
from tests.crash.scenarios import SIGKILLS
from tests.support.fixtures import Truths
from tests.support.launcher import Launcher
from tests.support.site import Site


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2, 3))]
)
def test_killed_at_random_nothing_is_lost_or_twice(
    seed: int, truths: Truths, site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    truth = truths(SPIDER)
    found = judged(SIGKILLS, seed, truth=truth, site=site, folder=tmp_path, launcher=launcher)
    assert found.kills, "no kill found the crawl under way"
    assert found.is_clean, str(found)
