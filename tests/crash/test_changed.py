"""Code, arguments, settings and feeds change between runs: the items are plain Scrapy's, or the job
says what it holds and how to go on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.changed import Plan, Trial, changing_site
from tests.crash.changing import first_version
from tests.crash.drawn import Interruption
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.site import Site

SHORT = (4, 18)
"""In 55 requests are held; 9, 18 and 20 fail without names that are remembered."""


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with changing_site(tmp_path_factory.mktemp("small-site")) as site:
        yield site


def check(seed: int, site: Site, folder: Path, launcher: Launcher) -> None:
    trial = Trial(seed, site, folder, launcher)
    complaints = list(trial.complaints())
    assert not complaints, "\n".join([f"seed {seed}", trial.plan.described(), *complaints])


@pytest.mark.soak
@pytest.mark.parametrize(
    ("told_apart", "puts_back"),
    [("value", False), pytest.param("nested", True, marks=pytest.mark.soak)],
)
def test_values_whose_module_has_moved_are_held_and_go_on_through_kills(
    told_apart: str, puts_back: bool, small_site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    trial = Trial(0, small_site, tmp_path, launcher)
    world, first = first_version(random.Random(1))
    world = replace(world, rules=False, has_lambda=False, told_apart=told_apart)
    first = replace(first, settings={"CONCURRENT_REQUESTS": 2}, feeds=("out.json",))
    moved = replace(first, number=1, models="models_1", mapped=False, feeds=("out.json", "a.jsonl"))
    runs = ((first, at_hits(14)), (moved, at_hits(6)), (moved, None))
    trial.plan = Plan(
        world,
        tuple((version, Interruption(kill)) for version, kill in runs),
        ("hits", "hits", "none"),
        puts_back,
        on_the_way=Interruption(at_hits(4)),
    )
    complaints = list(trial.complaints())
    assert not complaints, "\n".join(complaints)
    # Of a value of a value the outer class is missed first, or the inner one.
    assert trial.held & {"shop.models:Link", "shop.models:Pair"}, trial.held


@pytest.mark.parametrize("seed", SHORT)
def test_what_people_change_between_runs_costs_no_items(
    seed: int, small_site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, small_site, tmp_path, launcher)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [9, 20, 37, 55, *range(1_000, 1_300)])
def test_whatever_people_change_between_runs_costs_no_items(
    seed: int, small_site: Site, tmp_path: Path, launcher: Launcher
) -> None:
    check(seed, small_site, tmp_path, launcher)
