"""Fifty units of very different sizes, with pages that fail, in a crawl that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_resume import open_store
from tests.support.cities import counted, shown, words
from tests.support.kills import Kill, at_hits
from tests.support.launcher import Launcher
from tests.support.postgres import postgres_server
from tests.support.runs import Run, Workplace, watched
from tests.support.site import Site

__all__ = ["postgres_server"]

COUNT = 50
SMALL, LARGE = 9, 29
"""Pages of the largest unit."""


@pytest.fixture(params=["sqlite", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store")
    return request.getfixturevalue("postgres_server").new_database()


def crawl(
    site: Site,
    place: Workplace,
    location: str,
    launcher: Launcher,
    largest: int,
    kill: Kill | None = None,
) -> Run:
    return watched(
        words(site.url, location, {}, count=COUNT, largest=largest),
        site=site,
        log=place.next_log(),
        folder=place.path,
        launcher=launcher,
        kill=kill,
    )


@pytest.mark.parametrize(
    ("kills", "largest"), [(3, SMALL), pytest.param(10, LARGE, marks=pytest.mark.soak)]
)
def test_units_of_a_killed_crawl_are_those_of_one_that_was_left_alone(
    kills: int,
    largest: int,
    location: str,
    site: Site,
    place: Workplace,
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    left_alone = str(tmp_path / "other")
    run = crawl(site, place, left_alone, launcher, largest)
    assert run.is_finished, run.tail()
    expected = counted(site.hits(), COUNT)
    assert shown(open_store(left_alone).units("cities")) == expected
    hits_expected = len(site.hits())

    site.begin(tmp_path / "again.jsonl")
    killed = 0
    for number in range(kills):
        # Pages in flight are asked for again by the next run: each run gets a little further.
        killing = at_hits(max(1, hits_expected // (kills + 2)), 0.013 * number)
        killed += crawl(site, place, location, launcher, largest, killing).killed_at is not None
        # At any time, what is kept of units is what their requests say.
        check(location)
    assert killed >= min(kills, 3)
    reports = open_store(location)
    if reports.job("cities")["status"] != "completed":
        run = crawl(site, place, location, launcher, largest)
        assert run.is_finished, run.tail()
    assert shown(reports.units("cities")) == expected == counted(site.hits(), COUNT)
    check(location)


def check(location: str) -> None:
    reports = open_store(location)
    requests: dict[str, dict[str, int]] = {}
    for row in reports.requests("cities"):
        counts = requests.setdefault(row["unit"], {})
        state = "open" if row["state"] in ("pending", "leased") else row["state"]
        for name, number in ((state, 1), ("items", row["items"]), ("attempts", row["attempts"])):
            counts[name] = counts.get(name, 0) + number
    found = list(reports.units("cities"))
    names = ("open", "done", "failed", "parked", "ignored", "items", "attempts")
    assert {unit["unit"]: {name: unit[name] for name in names if unit[name]} for unit in found} == {
        unit: {name: number for name, number in counts.items() if number}
        for unit, counts in requests.items()
    }
    tally = reports.job("cities")["units"]
    for state, count in tally.items():
        if state != "total":
            assert count == sum(unit["state"] == state for unit in found)
    assert tally["total"] == len(found)
