"""SIGTERM once and twice, with every reactor; kills in start-up and in close."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import scenarios
from tests.crash.judged import SPIDER, judged
from tests.crash.scenarios import Scenario
from tests.support.fixtures import Truths
from tests.support.launcher import Launcher
from tests.support.oracles import Verdict
from tests.support.site import Site

SEEDS = [0, pytest.param(1, marks=pytest.mark.soak)]


def by_name(value: object) -> str | None:
    return value.name if isinstance(value, Scenario) else None


def judge(
    scenario: Scenario,
    seed: int,
    truths: Truths,
    site: Site,
    folder: Path,
    launcher: Launcher,
) -> Verdict:
    if scenario.mode.unavailable:
        pytest.skip(scenario.mode.unavailable)
    truth = truths(SPIDER)
    return judged(scenario, seed, truth=truth, site=site, folder=folder, launcher=launcher)


@pytest.mark.parametrize("scenario", scenarios.SIGTERM, ids=by_name)
def test_sigterm_once_fetches_nothing_again(
    scenario: Scenario, truths: Truths, site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    found = judge(scenario, 1, truths, site, tmp_path, launcher)
    assert found.is_clean, str(found)
    assert [kill.again.total() for kill in found.kills] == [0], str(found)


@pytest.mark.parametrize("scenario", scenarios.SIGTERM_TWICE, ids=by_name)
@pytest.mark.parametrize("seed", SEEDS)
def test_sigterm_twice_loses_nothing(
    scenario: Scenario,
    seed: int,
    truths: Truths,
    site: Site,
    tmp_path: Path,
    launcher: Launcher,
) -> None:
    found = judge(scenario, seed, truths, site, tmp_path, launcher)
    assert found.is_clean, str(found)


@pytest.mark.parametrize("scenario", [scenarios.STARTING, scenarios.CLOSING], ids=by_name)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_either_end_of_a_run_loses_nothing(
    scenario: Scenario,
    seed: int,
    truths: Truths,
    site: Site,
    tmp_path: Path,
    launcher: Launcher,
) -> None:
    found = judge(scenario, seed, truths, site, tmp_path, launcher)
    assert found.is_clean, str(found)
