"""What people do to long crawls: each scenario of the example project shows what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenarios.every import SCENARIOS
from scenarios.site import Site
from scenarios.stage import NotHere, Stage, Untrue

from tests.support.fleet_launcher import FleetLauncher
from tests.support.site import REPO

NEEDS_POSTGRES = {"orphaned_workers"}


IN_SOAK = {
    *NEEDS_POSTGRES,
    "progress_by_state",
    "rate_limited",
    "reset_with_limit",
    "skipped_for_good",
    "timeouts",
}
"""Two workers, of which one is stopped for as long as the machine is busy, and those that wait."""


@pytest.mark.sqlite("the scenarios name their stores")
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.soak] * (one in IN_SOAK)) for one in SCENARIOS],
)
def test_scenario_shows_what_is_true(
    name: str, tmp_path: Path, launcher: FleetLauncher, request: pytest.FixtureRequest
) -> None:
    postgres = request.getfixturevalue("postgres_url") if name in NEEDS_POSTGRES else None
    with Site().open() as site, Stage(tmp_path, site, launcher.start, postgres).closing() as stage:
        SCENARIOS[name](stage)


def test_workers_are_not_played_without_a_server_and_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match="needs PostgreSQL"):
        SCENARIOS["orphaned_workers"](Stage(tmp_path, Site()))


def test_readme_has_each_scenario() -> None:
    text = (REPO / "example_project" / "scenarios" / "README.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert named == list(SCENARIOS)


@pytest.mark.sqlite("the scenarios name their stores")
@pytest.mark.parametrize("name", ["dry_run", "power_cut"])
def test_scenario_fails_where_the_crawl_loses_a_car(
    name: str, tmp_path: Path, launcher: FleetLauncher
) -> None:
    with Site().open() as site, Stage(tmp_path, site, launcher.start).closing() as stage:
        spiders = stage.folder / "cars" / "spiders.py"
        text = spiders.read_text()
        losing = text.replace('css("li")', "css('li:not(:contains(\"seat 7\"))')")
        assert losing != text
        spiders.write_text(losing)
        with pytest.raises(Untrue, match="seat 7"):
            SCENARIOS[name](stage)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ('{"make": "kia"}\n', "lost .*seat"),
        ('{"make": "kia"}\n{"make": "seat"}\n{"make": "kia"}\n', "kia.* too often"),
        ('{"make": "kia"}\n{"make": "se\n', "torn line"),
    ],
)
def test_feed_that_is_not_exact_is_untrue(text: str, trouble: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, Site())
    (stage.folder / "cars.jsonl").write_text(text)
    with pytest.raises(Untrue, match=trouble):
        stage.check_items([{"make": "kia"}, {"make": "seat"}])


def test_what_is_shown_but_not_so_is_untrue(tmp_path: Path, launcher: FleetLauncher) -> None:
    with Site().open() as site, Stage(tmp_path, site, launcher.start).closing() as stage:
        with pytest.raises(Untrue, match="ended with 0, not 1"):
            stage.run("scrapy resume list", code=1)
        with pytest.raises(Untrue, match="does not say 'cars#1'"):
            stage.check_shown(stage.run("scrapy resume list"), "cars#1")
